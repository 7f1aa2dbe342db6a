"""`python -m benchmarks returns [env_id=HalfCheetah-v5] [steps=50000] [seeds=3]`: returns of this SAC beside
Stable-Baselines3's.

Both learn from nothing with the same numbers (256x256, two critics, batches of 256, an update a step after 10,000
random ones) on one row and one core, seed after seed; the last policy is judged without exploration. What is done is
kept in build/returns/ and not done again. Exit code 1 where this SAC's mean lies below the interval of SB3's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.command import number, require_used, step
from benchmarks.rows import measured_on
from robo_rl.app.runs import write_json
from robo_rl.errors import UserError

WARMUP, EPISODES = 10_000, 20  # [steps] of random actions; episodes that judge
SHOWN = 5  # episodes between two of SB3's tables
SAME = 0.05  # share by which numbers of updates may differ
LIMIT = 1_000  # [steps] of an episode of the Gymnasium environments of MuJoCo


def learn(folder: Path, env_id: str, steps: int, seed: int) -> dict[str, float]:
    """This project's SAC."""
    found = step(
        folder, "train", "learner=sac", "task=gym", f"env_id={env_id}", f"seed={seed}", "threads=1",
        f"learner.online.steps={steps}", f"learner.online.segment={steps}",
        f"learner.online.confirm_episodes={EPISODES}",
        f"learner.online.warmup_episodes={WARMUP // LIMIT}", "learner.eval_rows=1",
    )  # fmt: skip
    return {"return": found["raw_final_success"], "updates": found["updates"], "cpu_s": found["cpu_s"]}


def learn_sb3(env_id: str, steps: int, seed: int) -> dict[str, float]:
    """Stable-Baselines3's, in this process."""
    import gymnasium
    import torch
    from stable_baselines3 import SAC
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    torch.set_num_threads(1)
    begin = time.process_time()
    model = SAC("MlpPolicy", gymnasium.make(env_id), learning_starts=WARMUP, seed=seed, device="cpu", verbose=1)
    model.learn(steps, log_interval=SHOWN)
    cpu_s = time.process_time() - begin
    judged = Monitor(gymnasium.make(env_id))
    judged.reset(seed=10_000 + seed)
    mean, _ = evaluate_policy(model, judged, EPISODES)
    return {"return": float(cast(float, mean)), "updates": float(model._n_updates), "cpu_s": cpu_s}


def _sb3(path: Path, env_id: str, steps: int, seed: int) -> dict[str, float]:
    """`learn_sb3` in a process of its own, unless its result is there."""
    if not path.exists():
        command = [sys.executable, "-m", "benchmarks.returns", str(path), env_id, str(steps), str(seed)]
        if subprocess.run(command, check=False).returncode != 0:
            raise UserError("returns: Stable-Baselines3 failed")
    return json.loads(path.read_text())


def interval(values: list[float]) -> tuple[float, float]:
    """Student's 95 % interval of a mean."""
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return float(np.mean(values) - half), float(np.mean(values) + half)


def main(keys: dict[str, str], root: Path) -> int:
    """See the module."""
    env_id, steps = keys.pop("env_id", "HalfCheetah-v5"), int(number(keys, "steps", 50_000))
    seeds = int(number(keys, "seeds", 3))
    require_used(keys, "env_id", "steps", "seeds")
    if seeds < 2 or steps <= WARMUP:
        raise UserError(f"seeds={seeds} steps={steps}: expected at least 2, and more than {WARMUP}")
    folder = (root / "returns" / f"{env_id}-{steps}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, float]]] = {"robo_rl": [], "Stable-Baselines3": []}
    for seed in range(seeds):
        print(f"returns: seed {seed}", flush=True)
        found["Stable-Baselines3"].append(_sb3(folder / f"sb3-{seed}.json", env_id, steps, seed))
        found["robo_rl"].append(learn(folder / f"robo_rl-{seed}", env_id, steps, seed))
        _require_alike(env_id, *(runs[-1]["updates"] for runs in found.values()))
    write_json(root / "returns.json", {"env_id": env_id, "steps": steps, "machine": measured_on(), "runs": found})
    _show(f"SAC on {env_id}, {steps} steps, {seeds} seeds", found)
    low, _ = interval([run["return"] for run in found["Stable-Baselines3"]])
    return int(np.mean([run["return"] for run in found["robo_rl"]]) < low)


def _require_alike(env_id: str, updates: float, of_sb3: float) -> None:
    """Raise `UserError` where the two learned differently often: this warm-up counts episodes."""
    if abs(updates - of_sb3) > SAME * of_sb3:
        raise UserError(
            f"env_id={env_id}: {updates:.0f} updates, {of_sb3:.0f} of SB3's; both alike need episodes of {LIMIT} steps"
        )


def _show(title: str, found: dict[str, list[dict[str, float]]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("", "returns", "mean, 95 % interval", "updates", "processor s"):
        table.add_column(name)
    for who, runs in found.items():
        returns = [run["return"] for run in runs]
        low, high = interval(returns)
        means: list[Any] = [np.mean([run[key] for run in runs]) for key in ("updates", "cpu_s")]
        table.add_row(
            who, ", ".join(f"{value:.0f}" for value in returns), f"{np.mean(returns):.0f} ({low:.0f} to {high:.0f})",
            *(f"{mean:.0f}" for mean in means),
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    write_json(Path(sys.argv[1]), learn_sb3(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

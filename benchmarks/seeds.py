"""`python -m benchmarks.seeds [runs=5] [jobs=2] [steps=150000]`: the whole way for several training seeds.

Every training seed has its own demonstrations, base and residual; all are reported on the same report seeds. A step
whose result.json exists is skipped and a residual that was stopped goes on, so the command can be repeated until it
is done. Writes benchmarks/seeds.json; what it ran lies in build/seeds/.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import number, require_used, step
from robo_rl.app.runs import write_json
from robo_rl.app.session import show
from robo_rl.errors import UserError
from robo_rl.evaluate.machine import describe_machine
from robo_rl.evaluate.statistics import paired_by_seed

ROOT = Path("build/seeds")
DEMONSTRATIONS, EPISODES, CLOSER = 50, 200, 500


def run_seed(seed: int, steps: int) -> dict[str, Any]:
    """Demonstrations, base, residual and their evaluations for one training seed."""
    root = ROOT / str(seed)
    given = (f"seed={seed}", "threads=1")
    step(root / "dataset", "record", f"episodes={DEMONSTRATIONS}", f"seed={seed}")
    step(root / "base", "train", "learner=bc", f"dataset={root / 'dataset'}", *given)
    budget = f"learner.online.steps={steps}"
    trained = step(root / "residual", "train", f"base={root / 'base'}", budget, *given)
    base = evaluate(root, "base", root / "base")
    residual = evaluate(root, "residual", root / "residual")
    raw = evaluate(root, "raw", root / "residual" / "policy_raw")
    difference = paired_by_seed(base["rows"], residual["rows"])
    return {
        "task": "so101/insert_peg", "method": "residual", "seed": seed, "utd": trained["utd"],
        "env_steps": trained["env_steps_trained"], "base_success": base["success_rate"],
        "raw_final_success": raw["success_rate"], "success_rate": residual["success_rate"],
        "ci_low": residual["ci_low"], "ci_high": residual["ci_high"], "paired_difference": difference.to_json(),
        "noisy_success_rate": trained["noisy_success_rate"], "confirmed_success": trained["success_rate"],
        "episodes": EPISODES, "steps_to_95": trained["steps_to_95"],
        "wall_clock_to_95_s": trained["wall_clock_to_95_s"], "wall_clock_s": trained["wall_clock_s"],
        "gate": trained["gate"], "machine": describe_machine(),
    }  # fmt: skip


def evaluate(root: Path, name: str, run: Path, episodes: int = EPISODES) -> dict[str, Any]:
    """Report seeds of a policy."""
    return step(root / f"evaluate-{name}-{episodes}", "evaluate", f"run={run}", f"episodes={episodes}")


def main(arguments: list[str]) -> int:
    pairs = (argument.partition("=") for argument in arguments)
    keys = {key: value for key, _, value in pairs}
    runs, jobs, steps = (int(number(keys, *pair)) for pair in (("runs", 5), ("jobs", 2), ("steps", 150_000)))
    require_used(keys, "runs", "jobs", "steps")
    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(lambda seed: run_seed(seed, steps), range(runs)))
    order = np.argsort([row["success_rate"] for row in rows])
    for place in {order[0], order[-1]}:
        seed = rows[place]["seed"]
        closer = evaluate(ROOT / str(seed), "residual", ROOT / str(seed) / "residual", CLOSER)
        rows[place]["closer"] = {key: closer[key] for key in ("episodes", "success_rate", "ci_low", "ci_high")}
    write_json(Path("benchmarks/seeds.json"), rows)
    for row in rows:
        keys = ("base_success", "raw_final_success", "success_rate", "noisy_success_rate", "steps_to_95")
        show(f"training seed {row['seed']}", [(key, row[key]) for key in (*keys, "wall_clock_s")])
    show("all", [("median success", float(np.median([row["success_rate"] for row in rows])))])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"benchmarks: error: {error}")

"""robo_rl on Meta-World, in a venv of its own (Meta-World pins MuJoCo 3.3.0): python -m benchmarks.metaworld.run

Records Meta-World's scripted expert, clones it, learns a residual and evaluates both on equal seeds, with the commands
that a user would type. Everything lies under `--out`; a step whose result.json exists is skipped, an interrupted
residual goes on from its last checkpoint. `results.json` holds rates, intervals, the learning curve and the commands.

Further `key=value` arguments go to the training of the residual, e.g. `learner.scale=0.2 threads=1`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.command import step
from robo_rl.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
ENV = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}  # the experts warn of clipped actions
REQUIREMENTS = ("mujoco==3.3.0", "metaworld==3.1.1")
NOISE = 0.1  # standard deviation of the expert's disturbance; more, and Meta-World's experts miss their grasps
EXPERTS = {
    "pick-place-v3": "SawyerPickPlaceV3Policy",
    "coffee-pull-v3": "SawyerCoffeePullV3Policy",
    "basketball-v3": "SawyerBasketballV3Policy",
    "stick-push-v3": "SawyerStickPushV3Policy",
    "disassemble-v3": "SawyerDisassembleV3Policy",
}


def main() -> int:
    options = parse()
    out, robo_rl = options.out.resolve(), install(options.venv.absolute())
    commands: dict[str, str] = {}
    for name, arguments in steps(options, out).items():
        commands[name] = shlex.join(["robo-rl", *arguments])
        print(f"metaworld: {name}: {commands[name]}", flush=True)
        step(out / name, *arguments, program=(str(robo_rl),), env=ENV)
    write(out / "results.json", summary(options, out, commands))
    print(f"metaworld: {out / 'results.json'}")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="pick-place-v3", choices=EXPERTS)
    parser.add_argument("--demos", type=int, default=20, help="demonstrations, the expert's failures included")
    parser.add_argument("--steps", type=int, default=150_000, help="environment steps of the residual")
    parser.add_argument("--episodes", type=int, default=200, help="of each evaluation")
    parser.add_argument("--seed", type=int, default=0, help="number of the training run and of the report's seeds")
    parser.add_argument("--out", type=Path, help="default build/metaworld/<task>-<seed>")
    parser.add_argument("--venv", type=Path, default=ROOT / "build/metaworld/venv", help="made where there is none")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the residual's training")
    options = parser.parse_intermixed_args()
    for item in options.overrides:
        if "=" not in item:
            parser.error(f"{item}: expected key=value")
    options.overrides = [item.split("=", 1) for item in options.overrides]
    options.out = options.out or ROOT / f"build/metaworld/{options.task}-{options.seed}"
    return options


def steps(options: argparse.Namespace, out: Path) -> dict[str, list[str]]:
    """Arguments of `robo-rl` for every step, by the folder it writes."""
    seed, env_id = f"seed={options.seed}", task_keys(options.task)[1]
    report = [env_id, f"episodes={options.episodes}", seed]
    demos, base, residual = (out / name for name in ("demos", "base", "residual"))
    defaults = {"learner.online.steps": str(options.steps), "learner.eval_rows": "32"}
    learner = [f"{key}={value}" for key, value in (defaults | dict(options.overrides)).items()]
    return {
        "demos": ["record", *expert_keys(options.task), f"episodes={options.demos}", seed],
        "base": ["train", "learner=bc", *task_keys(options.task), f"dataset={demos}", "learner.rows=32", seed],
        "base_eval": ["evaluate", f"run={base}", *report, "record=false"],
        "residual": ["train", "learner=residual", *task_keys(options.task), f"base={base}", seed, *learner],
        "residual_eval": ["evaluate", f"run={residual}", "use=residual", *report, "record=false"],
    }


def task_keys(task: str) -> list[str]:
    """The environment, as `robo-rl` is told it: task, id, what says success and how it is rewarded."""
    env_id = f"env_id=benchmarks.metaworld:robo_rl_bench/{task}"
    return ["task=gym", env_id, "success_key=success", "task.env.reward=success"]


def expert_keys(task: str) -> list[str]:
    """Meta-World's scripted expert with disturbed actions."""
    return [*task_keys(task), f"expert=metaworld.policies:{EXPERTS[task]}", f"noise={NOISE}", "n=10"]


def install(venv: Path) -> Path:
    """The `robo-rl` of a venv with Meta-World and this checkout; `make install` has to have run before."""
    command = venv / "bin" / "robo-rl"
    if command.exists():
        return command
    home = ROOT / ".venv" / "bin"
    if not (home / "uv").exists():
        sys.exit("metaworld: no .venv/bin/uv; run `make install` first")
    settings = subprocess.check_output([home / "python", ROOT / "tools/pip_to_uv.py"], text=True)
    exports = (shlex.split(line) for line in settings.splitlines())
    env = os.environ | dict(words[1].split("=", 1) for words in exports)
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    constraints = venv.parent / "constraints.txt"  # this project's, but for MuJoCo
    constraints.parent.mkdir(parents=True, exist_ok=True)
    constraints.write_text("\n".join([pin for pin in pins if not pin.startswith("mujoco==")]) + "\n")
    uv = str(home / "uv")
    if not (venv / "bin" / "python").exists():
        subprocess.run([uv, "venv", "-q", "--python", str(home / "python"), str(venv)], env=env, check=True)
    python = str(venv / "bin" / "python")
    packages = ["-c", str(constraints), *REQUIREMENTS, "-e", str(ROOT)]
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *packages], env=env, check=True)
    return command


def summary(options: argparse.Namespace, out: Path, commands: dict[str, str]) -> dict[str, Any]:
    """What results.json holds."""
    results = {name: json.loads((out / name / "result.json").read_text()) for name in commands}
    keys = ("success_rate", "ci_low", "ci_high", "episodes", "seed", "episode_length_mean")
    trained = results["residual"]
    shown = ("env_steps_trained", "updates", "promoted", "gate", "steps_to_95", "wall_clock_to_95_s", "wall_clock_s")
    columns = ("env_steps", "success", "noisy_success", "wall_clock_s")
    return {
        "task": options.task,
        "requirements": REQUIREMENTS,
        "demonstrations": {key: results["demos"][key] for key in ("episodes", "success_rate")},
        "base": {key: results["base_eval"][key] for key in keys},
        "residual": {key: results["residual_eval"][key] for key in keys},
        "training": {key: trained.get(key) for key in shown},
        "curve": [{key: record.get(key) for key in columns} for record in trained["history"]],
        "commands": commands,
        "written": time.strftime("%Y-%m-%d"),
    }


def write(path: Path, data: dict[str, Any]) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(data, indent=1) + "\n")
    os.replace(fresh, path)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"metaworld: error: {error}")

"""`python -m benchmarks replays [episodes=10] [task=NAME]`: does what is in a log happen again?

For every bundled task: the logs of an expert in as many rows as episodes, whose actions are played again, and the log
of a clone in one row, which is audited; both have to be identical, bit by bit. The default task is recorded with
cameras, too. Then the default task's clone acts on the emulated robot, and its log is played in simulation, where they
differ: the errors are listed. A step whose result exists is skipped; what it ran lies in build/replays/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from benchmarks.rows import measured_on
from benchmarks.tasks import names, slug
from robo_rl.app.main import main as robo_rl
from robo_rl.app.runs import write_json
from robo_rl.errors import UnknownName, UserError
from robo_rl.log.reader import find_logs

CLONE = ("learner=bc", "threads=1", "learner.config.updates=100", "learner.checkpoints=1", "learner.episodes=4")
CAMERAS = "task.rig.cameras=[front,wrist]"
DEFAULT = "so101/insert_peg"
SIGNALS = ("obs/joint_position", "obs/joint_velocity", "obs/tool_pose", "action/applied")


def run(out: Path, *arguments: str) -> dict[str, Any]:
    """The result of a command that writes `out`, which is run unless its result is there."""
    if not (out / "result.json").exists() and robo_rl([*arguments, f"out={out}"]) != 0:
        raise UserError(f"replays: robo-rl {' '.join(arguments)} failed")
    return json.loads((out / "result.json").read_text())


def measure(root: Path, task: str, episodes: int, *options: str) -> dict[str, Any]:
    """How a task's logs replay."""
    on, many = (f"task={task}", *options), f"episodes={episodes}"
    run(root / "expert", "record", *on, many, f"n={episodes}")
    actions = run(root / "actions", "replay", f"log={root / 'expert'}")
    run(root / "clone", "train", *CLONE, f"dataset={root / 'expert'}")  # it need not be good
    run(root / "evaluated", "evaluate", f"run={root / 'clone'}", many, "n=1")
    audit = run(root / "audit", "replay", f"log={root / 'evaluated'}", "mode=audit", f"run={root / 'clone'}")
    return {"logs": len(find_logs(root / "expert")) + 1, "actions": _short(actions), "audit": _short(audit)}


def _short(result: Mapping[str, Any]) -> dict[str, Any]:
    worst = max((signal["max_abs_error"] for signal in result["signals"].values()), default=0.0)
    return {"ticks": result["ticks"], "identical": result["identical"], "max_abs_error": worst}


def emulated(root: Path, run_folder: Path) -> dict[str, Any]:
    """Error of every signal between the emulated robot and its simulated twin, under the same actions."""
    run(root / "deployed", "deploy", f"run={run_folder}", "robot=so101", "robot.bus=emulated", "episodes=2")
    found = run(root / "replayed", "replay", f"log={root / 'deployed'}", "robot=so101_sim")
    return {name: found["signals"][name] for name in SIGNALS}


def show(found: Mapping[str, Mapping[str, Any]], errors: Mapping[str, Any]) -> None:
    table = Table("task", "logs", "ticks", "actions", "audited ticks", "audit", title="logs that happen again")
    for name, one in found.items():
        parts = [one["actions"], one["audit"]]
        said = ["identical" if part["identical"] else f"differ by {part['max_abs_error']:.3g}" for part in parts]
        table.add_row(name, str(one["logs"]), str(parts[0]["ticks"]), said[0], str(parts[1]["ticks"]), said[1])
    Console().print(table)
    table = Table("signal", "largest error", "mean error", title="the emulated robot beside its simulated twin")
    for name, error in errors.items():
        table.add_row(name, f"{error['max_abs_error']:.3g}", f"{error['mean_abs_error']:.3g}")
    Console().print(table)


def chosen(task: str | None) -> Sequence[str]:
    if task is not None and task not in names():
        raise UnknownName("task", task, names())
    return names() if task is None else [task]


def main(keys: dict[str, str], root: Path) -> int:
    """Print the tables, write replays.json; 1 where something differs."""
    root, episodes, task = root / "replays", int(number(keys, "episodes", 10)), keys.pop("task", None)
    require_used(keys, "episodes", "task")
    found = {name: measure(root / slug(name), name, episodes) for name in chosen(task)}
    errors: dict[str, Any] = {}
    if task in (None, DEFAULT):
        found[f"{DEFAULT}, two cameras"] = measure(root / "cameras", DEFAULT, episodes, CAMERAS)
        errors = emulated(root / "emulated", root / slug(DEFAULT) / "clone")
    show(found, errors)
    write_json(root.with_suffix(".json"), {"machine": measured_on(), "tasks": found, "emulated": errors})
    print(root.with_suffix(".json"))
    return 0 if all(one[part]["identical"] for one in found.values() for part in ("actions", "audit")) else 1

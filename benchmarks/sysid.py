"""`python -m benchmarks sysid [run=FOLDER] [reality=NAME]`: a simulation is fitted to "reality" and judged by what it
then predicts.

A "reality" is a simulation of another class than the one that is fitted: numbers of a file in benchmarks/realities/,
and a servo with dead band, backlash, an encoder, a torque that falls with speed, and a delay. `worn` has other gains,
damping and masses; `drag` has friction that grows with the square of the speed, which is not fitted. Judged on episodes
that were not fitted, and by how far a cloned policy's success lies from its success in reality. A step whose
result.json exists is skipped. Writes benchmarks/sysid.json; what it ran lies in build/sysid/.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.command import require_used, step
from robo_rl.app.runs import write_json
from robo_rl.app.session import show
from robo_rl.errors import UnknownName
from robo_rl.evaluate.machine import describe_machine

FILES = Path("benchmarks/realities")
EPISODES = 200


def main(keys: dict[str, str], root: Path) -> int:
    """0 where both targets are met everywhere: one-second error at least 3 times smaller, gap in success at least
    halved."""
    root, given, chosen = root / "sysid", keys.pop("run", None), keys.pop("reality", None)
    require_used(keys, "run", "reality")
    names = sorted(path.stem for path in FILES.glob("*.yaml"))
    if chosen not in (None, *names):
        raise UnknownName("reality", chosen, names)
    run = base(root) if given is None else Path(given)
    nominal, place = evaluate(root, "nominal", run), Path("benchmarks/sysid.json")
    for name in names if chosen is None else [chosen]:
        found = json.loads(place.read_text()) if place.exists() else {}
        result = found[name] = measure(root, name, run, nominal)
        write_json(place, found)
        error, success = result["one_second_error_rad"], result["success"]
        errors = [(f"error after 1 s, {when} [rad]", error[when]) for when in ("before", "after")]
        rates = [(f"success, {where}", rate["success_rate"]) for where, rate in success.items()]
        show(f"sysid, {name}", [*errors, *rates, *result["met"].items()])
    return 0 if all(all(result["met"].values()) for result in found.values()) else 1


def measure(root: Path, name: str, run: Path, nominal: dict[str, Any]) -> dict[str, Any]:
    """How well the fit to one reality foresees it."""
    reality = (f"robot.params={FILES / name}.yaml", "task.rig.servo=real")
    step(root / f"{name}-log", "record", "episodes=20", "seed=11", *reality)
    fitted = step(root / f"{name}-fit", "sysid", f"log={root / f'{name}-log'}", "n=512")
    success = {
        "nominal": nominal,
        "reality": evaluate(root, f"in-{name}", run, *reality),
        "fitted": evaluate(root, f"in-{name}-fit", run, f"robot.params={root / f'{name}-fit' / 'fit.yaml'}"),
    }
    error = fitted["held_out_error"]["at_end"]
    gap = {
        where: success[where]["success_rate"] - success["reality"]["success_rate"] for where in ("nominal", "fitted")
    }
    met = {"error": error["before"] >= 3 * error["after"], "gap": abs(gap["fitted"]) <= abs(gap["nominal"]) / 2}
    return {
        "one_second_error_rad": {**error, "ratio": error["before"] / error["after"]}, "success": success,
        "success_gap": gap, "met": met, "not_identifiable": fitted["not_identifiable"], "machine": describe_machine(),
    }  # fmt: skip


def base(root: Path) -> Path:
    """A clone of fifty demonstrations of the nominal simulation."""
    step(root / "dataset", "record", "episodes=50", "seed=9")
    step(root / "base", "train", "learner=bc", f"dataset={root / 'dataset'}", "threads=1")
    return root / "base"


def evaluate(root: Path, name: str, run: Path, *where: str) -> dict[str, Any]:
    """Success on report seeds."""
    found = step(root / f"evaluate-{name}", "evaluate", f"run={run}", f"episodes={EPISODES}", "record=false", *where)
    return {key: found[key] for key in ("success_rate", "ci_low", "ci_high", "episodes")}

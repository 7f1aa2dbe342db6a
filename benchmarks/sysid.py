"""`python -m benchmarks sysid [run=FOLDER]`: a simulation is fitted to "reality" and judged by what it then predicts.

"Reality" is a simulation of another class than the one that is fitted: numbers of benchmarks/reality.yaml, and a servo
with dead band, backlash, an encoder, a torque that falls with speed, and a delay. Judged on episodes that were
not fitted, and by how far a cloned policy's success lies from its success in reality. A step
whose result.json exists is skipped. Writes benchmarks/sysid.json; what it ran lies in build/sysid/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.command import require_used, step
from robo_rl.app.runs import write_json
from robo_rl.app.session import show
from robo_rl.evaluate.machine import describe_machine

REALITY = ("robot.params=benchmarks/reality.yaml", "task.rig.servo=real")
EPISODES = 200


def main(keys: dict[str, str], root: Path) -> int:
    """0 where both targets are met: one-second error at least 3 times smaller, gap in success at least halved."""
    root, given = root / "sysid", keys.pop("run", None)
    require_used(keys, "run")
    run = base(root) if given is None else Path(given)
    step(root / "reality", "record", "episodes=20", "seed=11", *REALITY)
    fitted = step(root / "fitted", "sysid", f"log={root / 'reality'}", "n=512")
    success = {
        "nominal": evaluate(root, "nominal", run),
        "reality": evaluate(root, "in-reality", run, *REALITY),
        "fitted": evaluate(root, "in-fitted", run, f"robot.params={root / 'fitted' / 'fit.yaml'}"),
    }
    error = fitted["held_out_error"]["at_end"]
    gap = {
        where: success[where]["success_rate"] - success["reality"]["success_rate"] for where in ("nominal", "fitted")
    }
    met = {"error": error["before"] >= 3 * error["after"], "gap": abs(gap["fitted"]) <= abs(gap["nominal"]) / 2}
    result = {
        "one_second_error_rad": {**error, "ratio": error["before"] / error["after"]}, "success": success,
        "success_gap": gap, "met": met, "not_identifiable": fitted["not_identifiable"], "machine": describe_machine(),
    }  # fmt: skip
    write_json(Path("benchmarks/sysid.json"), result)
    rates = [(f"success, {where}", found["success_rate"]) for where, found in success.items()]
    errors = [(f"error after 1 s, {when} [rad]", error[when]) for when in ("before", "after")]
    show("sysid", [*errors, *rates, *met.items()])
    return 0 if all(met.values()) else 1


def base(root: Path) -> Path:
    """A clone of fifty demonstrations of the nominal simulation."""
    step(root / "dataset", "record", "episodes=50", "seed=9")
    step(root / "base", "train", "learner=bc", f"dataset={root / 'dataset'}", "threads=1")
    return root / "base"


def evaluate(root: Path, name: str, run: Path, *where: str) -> dict[str, Any]:
    """Success on report seeds."""
    found = step(root / f"evaluate-{name}", "evaluate", f"run={run}", f"episodes={EPISODES}", "record=false", *where)
    return {key: found[key] for key in ("success_rate", "ci_low", "ci_high", "episodes")}

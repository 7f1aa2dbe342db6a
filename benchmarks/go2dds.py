"""The Go2's gait through DDS on the emulated robot: 500 Hz low level, 50 Hz policy, one episode of some minutes.

Without `run=` the scripted gait walks, which sees the true velocity; with it, a policy. What counts is that the robot
has not fallen, and what was lost or late on the way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from benchmarks.rows import measured_on
from robo_rl.app.build import make_env, make_expert
from robo_rl.app.compose import compose
from robo_rl.app.legged import EmulatedLegsRig
from robo_rl.app.pacing import Rate, report, undisturbed
from robo_rl.app.runs import load_policy, write_json
from robo_rl.env import RigEnv
from robo_rl.loop import run
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.types import Action, Reason, Step

PRIORITY = 10  # of SCHED_FIFO, as `deploy` has it


class Ending:
    """Observer that remembers how the episode ended."""

    def __init__(self) -> None:
        self.reason, self.ticks, self.tilt = "", 0, 0.0

    def __call__(self, step: Step, action: Action) -> None:
        if step.live[0]:
            self.ticks += 1
            self.tilt = max(self.tilt, 2.0 * float(np.hypot(*step.obs["imu_quaternion"][0, 1:3])))
        if step.last[0]:
            self.reason = Reason(int(step.reason[0])).label


def walk(seconds: float, folder: str) -> dict[str, Any]:
    """One episode: how it ended, the cadence of policy and driver, what the emulated robot saw."""
    words = ["task=go2/joystick", "robot=go2", "robot.bus=emulated", f"task.task.config.limit={seconds}"]
    config = compose("deploy", [*words, *([f"run={folder}"] if folder else [])])
    env = make_env(config.task, config.robot, 1, realtime=True)
    assert isinstance(env, RigEnv) and isinstance(env.rig, EmulatedLegsRig)
    rig = env.rig
    try:
        policy = (
            load_policy(config, "go2dds").policy_for("base") if folder else make_expert(config.task, config.robot, env)
        )
        rate, ending, seeds = Rate(), Ending(), Seeds(seed_of(Role.REPORT, 0), 1)
        with undisturbed(PRIORITY):
            run(env, policy, lambda step: step.exhausted or any(rig.messages), seeds, (rate, ending))
        found, fault = rig.emulator.found, rig.messages[0]
        seen = {f"robot {name}": int(found[name]) for name in ("heard", "refused", "timeouts")}
        driver = {f"driver {name}": value for name, value in rig.drivers["go2"].items()}
        ended = {"ended": fault or ending.reason, "walked_s": ending.ticks * env.dt, "most_tilt_rad": ending.tilt}
        return {**ended, **report(rate, rig.deadline), **driver, **seen}
    finally:
        env.close()


def main(keys: dict[str, str], root: Path) -> int:
    """`go2dds seconds=120 run=FOLDER`: print a table, write go2_dds.json; 1 when the robot fell."""
    seconds, folder = number(keys, "seconds", 120.0), keys.pop("run", "")
    require_used(keys, "seconds", "run")
    result = walk(seconds, folder)
    table = Table(title=f"go2 through DDS, {seconds:g} s", title_justify="left", show_header=False)
    for name, value in result.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    write_json(root / "go2_dds.json", {"machine": measured_on(), "seconds": seconds, "run": folder, **result})
    print(root / "go2_dds.json")
    return 0 if result["walked_s"] >= seconds - 0.1 else 1

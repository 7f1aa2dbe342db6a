"""A policy's process as `deploy` runs it, on an arm of which this process knows a port and nothing else: what the kill
table kills. It says on standard output which phase it is in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hardware import realtime
from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.emulators.feetech_bus import emulated_calibration
from hardware.feetech import FeetechArm
from hardware.rig import DeviceRig
from robo_rl.env import RigEnv
from robo_rl.log.recorder import Recorder
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from robo_rl.seeds import Seeds
from robo_rl.spec import Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import Action, Kind, Obs, Step

DESCRIPTION = Path("configs/description/so101.yaml")
EPISODE = 1.2  # [s]
PHASE = {Kind.FIRST: "motion", Kind.MID: "motion", Kind.LAST: "hand-back", Kind.RESET: "hand-back"}


class Sway(Policy):
    """Every joint to and fro around its home pose."""

    def __init__(self, description: RobotDescription) -> None:
        self._home, self._tick = description.array("home").astype(np.float32)[None], 0

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        self._tick = 0

    def act(self, obs: Obs) -> Action:
        self._tick += 1
        return Action(self._home + np.float32(0.3 * np.sin(0.2 * self._tick)))


class Wait(Task):
    """A task that only times out."""

    name, obs_spec, limit = "wait", Spec({}), EPISODE

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return where

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        nothing = np.zeros(len(applied))
        return Verdict(*(nothing.astype(kind) for kind in (np.float32, bool, np.int8, np.uint8)))


class Phases:
    """Observer that says when another phase begins."""

    def __init__(self) -> None:
        self.name = ""

    def __call__(self, step: Step, action: Action) -> None:
        self.enter("homing" if self.name == "homing" and not step.first[0] else PHASE[Kind(int(step.kind[0]))])

    def enter(self, name: str) -> None:
        if name != self.name:
            self.name = name
            print(name, flush=True)


def main(port: str, safe: str, folder: str, episodes: int, seconds: float) -> None:
    realtime.take_priority(10)  # as `deploy` does
    phases = Phases()
    phases.enter("start")
    description = RobotDescription.load(DESCRIPTION)
    calibration = emulated_calibration(description)
    arm = FeetechArm(description, port, calibration, safe=safe, release=safe == "release")
    rig = DeviceRig([DrivenRobot(arm, DriverSettings())])
    task, policy = Wait(), Sway(description)
    task.limit = seconds
    env = RigEnv(rig, task)
    rig.connect()
    phases.enter("homing")
    specs = (env.obs_spec, env.act_spec, policy.extra_spec)
    with Recorder(Path(folder) / "log", *specs, {"name": "loop"}, env.dt, realtime=1) as recorder:
        seeds = Seeds(0, episodes)
        run(env, policy, lambda step: step.exhausted or any(rig.messages), seeds, (recorder, phases))
        rig.rest()
        print(f"over {json.dumps(result(rig))}", flush=True)
    phases.enter("stop")
    env.close()


def result(rig: DeviceRig) -> dict[str, Any]:
    """What is wrong with the rig ("" where nothing is), its cadence, and its drivers'."""
    late = np.percentile(rig.deadline.late * 1e6, [50, 99, 100]).tolist() if rig.deadline.ticks else [0.0] * 3
    cadence = {"ticks": rig.deadline.ticks, "misses": rig.deadline.misses}
    cadence |= dict(zip(("wake_p50_us", "wake_p99_us", "wake_max_us"), late, strict=True))
    return {"fault": rig.messages[0], **cadence, "drivers": rig.drivers}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))

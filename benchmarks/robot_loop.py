"""A policy's process as `deploy` runs it, on an arm of which this process knows a port and nothing else: what the kill
table kills. It says on standard output which phase it is in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hardware import realtime
from hardware.device import Device
from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.dynamixel import DynamixelArm
from hardware.emulators.servo_bus import emulated_calibration
from hardware.feetech import FeetechArm
from hardware.go2 import Go2
from hardware.rig import DeviceRig
from hardware.ur import UrArm
from robo_rl.env import RigEnv
from robo_rl.log.recorder import Recorder
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from robo_rl.seeds import Seeds
from robo_rl.spec import Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import Action, Kind, Obs, Step

ROBOTS = ("so101", "koch", "ur5e", "go2")
RATES = {"ur5e": 240.0, "go2": 500.0}  # [Hz], as configs/robot has them
LOOPBACK = "lo"
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


def describe(robot: str) -> RobotDescription:
    return RobotDescription.load(Path("configs/description") / f"{robot}.yaml")


def device(robot: str, port: str, safe: str) -> Device:
    """The robot's device behind a port or an address."""
    description = describe(robot)
    if robot == "ur5e":
        return UrArm(description, port)
    if robot == "go2":
        return Go2(description, LOOPBACK, int(port), farewell=0.1)
    kind = {"so101": FeetechArm, "koch": DynamixelArm}[robot]
    return kind(description, port, emulated_calibration(description), safe=safe, release=safe == "release")


def main(robot: str, port: str, safe: str, folder: str, episodes: int, seconds: float) -> None:
    realtime.take_priority(10)  # as `deploy` does
    phases = Phases()
    phases.enter("start")
    arm = device(robot, port, safe)
    rig = DeviceRig([DrivenRobot(arm, settings_of(robot))])
    task, policy = Wait(), Sway(arm.description)
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


def settings_of(robot: str) -> DriverSettings:
    return DriverSettings(rate=RATES.get(robot, DriverSettings.rate))


def result(rig: DeviceRig) -> dict[str, Any]:
    """What is wrong with the rig ("" where nothing is), its cadence, and its drivers'."""
    late = np.percentile(rig.deadline.late * 1e6, [50, 99, 100]).tolist() if rig.deadline.ticks else [0.0] * 3
    cadence = {"ticks": rig.deadline.ticks, "misses": rig.deadline.misses}
    cadence |= dict(zip(("wake_p50_us", "wake_p99_us", "wake_max_us"), late, strict=True))
    return {"fault": rig.messages[0], **cadence, "drivers": rig.drivers}


if __name__ == "__main__":
    robot, port, safe, folder, episodes, seconds = sys.argv[1:]
    main(robot, port, safe, folder, int(episodes), float(seconds))

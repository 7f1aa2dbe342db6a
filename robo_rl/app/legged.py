"""Rigs of a physical quadruped: a network with a robot in it, or an emulated robot with a simulated world around it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from hardware.driven import DrivenRobot
from hardware.emulators.emulated_go2 import EmulatedGo2
from hardware.guard import Guard
from hardware.rig import DeviceRig
from robo_rl.app.build import instantiate, offer
from robo_rl.app.emulated import SharedTask
from robo_rl.app.legged_world import WorldLegsFactory
from robo_rl.app.mirror import Mirror
from robo_rl.app.world_plant import ONE
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from robo_rl.spec import Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import Obs
from sim.poses import yaw_of
from sim.rig import SimRig

EMULATED = "emulated"


class EmulatedLegsRig(DeviceRig):
    """A quadruped whose emulator, a process of its own, moves it in a simulated world.

    This process has a copy of that world, made equal at every `read`: the task judges it, and privileged sensors see
    it. What the task changes in the copy (it puts the robot somewhere, it pushes it) is changed in the emulator's
    world. Seed and tick of the episode are the copy's own.

    Attributes:
        world: the copy.
        emulator: the robot.
    """

    def __init__(self, robot: DrivenRobot, simulated: SimRig, emulator: EmulatedGo2) -> None:
        super().__init__([robot])
        self.world, self.emulator = simulated.world, emulator
        self._mirror = Mirror(self.world, emulator)
        self._truth, self._hidden = simulated.privileged_sensors, simulated.privileged()
        self._walks = False  # a policy has moved it since it was homed
        self._motors = [self.world.model.actuator(name).id for name in robot.description.names]
        self._look()

    def home(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Ramp to the home pose; then the world of another episode begins around the robot, at rest. A robot that was
        walking is caught first: freezing a gait would make it stumble."""
        if self._walks:
            self._catch()
        arrived = super().home(where, seeds)
        if arrived.any():
            self.world.reset(ONE, seeds)
            self._look()
            self.world.qvel[0, :6] = 0.0
        return arrived

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        self._walks |= bool(live.any())
        return super().write(action, live)

    def tick(self, live: np.ndarray) -> None:
        super().tick(live)
        self.world.count(live)

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        obs, stamps = super().read()
        seen = self._look()
        for sensor in self._truth:
            values, _ = sensor.read()
            obs.update(values)
            stamps.update(dict.fromkeys(values, np.array([seen])))
        return obs, stamps

    def push(self) -> None:
        """What was changed in the copy since it was looked at happens to the robot."""
        self._mirror.push()

    def privileged(self) -> Spec:
        return self._hidden

    def save_state(self, rows: np.ndarray) -> np.ndarray:
        return self.world.save_state(rows)

    def close(self) -> None:
        super().close()
        self.emulator.close()

    def _catch(self) -> None:
        """Hold the trunk level and at rest."""
        self._walks = False
        self._look()
        yaw = yaw_of(self.world.qpos[:, 3:7])[0]
        self.world.qpos[0, 3:7], self.world.qvel[0, :6] = (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)), 0.0
        self.push()

    def _look(self) -> float:
        """Make the copy equal; when it was so [s]."""
        return float(self._mirror.look(self._control)["time"])

    def _control(self, found: Mapping[str, Any]) -> None:
        """The copy's motors have fixed gains, hence a control of their own."""
        self.world.ctrl[0, self._motors] = np.where(found["kp"] > 0, found["q"], found["position"])


class PlacingTask(SharedTask):
    """A task that works on the copy of an emulated robot's world."""

    def __init__(self, task: Task, rig: EmulatedLegsRig) -> None:
        super().__init__(task, nullcontext())
        self._rig = rig

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        ready = super().begin(where, seeds)
        self._rig.push()
        return ready

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        verdict = super().judge(obs, applied)
        self._rig.push()
        return verdict


def make_rig(
    description: Path,
    guard: Guard,
    legs: Mapping[str, Any],
    driver: Mapping[str, Any] | None,
    bus: str | None = None,
    domain: int = 0,
    world: Mapping[str, Any] | None = None,
) -> DeviceRig:
    """The rig of one quadruped; it says nothing to the robot before `home`.

    Args:
        description: file of the robot's description.
        guard: what every command passes.
        legs: node of the device.
        driver: node of how its driver's process runs.
        bus: network interface, or "emulated".
        domain: of DDS; an emulated robot has one of its own.
        world: node of the simulated rig that is around an emulated robot.
    """
    robot = RobotDescription.load(description)
    if bus is None:
        raise UserError(
            f"robot.bus=: robot={robot.name} needs the network interface that its cable is in, e.g. eth0 (ip address "
            f"lists them), or {EMULATED}"
        )
    if driver is None:
        raise UserError(
            f"robot.rig.driver=null: robot={robot.name} needs a driver's process: its motors take commands 500 times a "
            "second; give robot.rig.driver.rate= or leave it out"
        )
    if bus != EMULATED:
        device = instantiate(legs, description=robot, interface=bus, domain=domain, guard=guard)
        return DeviceRig([DrivenRobot(device, instantiate(driver))])
    if world is None:
        raise UserError(f"robot.bus={bus}: this task has no simulated world to put an emulated robot into")
    simulated = offer({**world, "nthread": 1}, description=description, n=1)
    _require_plain(simulated)
    emulator = EmulatedGo2(robot, WorldLegsFactory.of(simulated.world, robot))
    where = emulator.settings
    device = instantiate(legs, description=robot, interface=where.interface, domain=where.domain, guard=guard)
    return EmulatedLegsRig(DrivenRobot(device, instantiate(driver)), simulated, emulator)


def task_on_rig(rig: DeviceRig, task: Mapping[str, Any], name: str) -> Task:
    """The task `task` (a node) on this rig: it looks at the robot from outside, and only an emulated one shows that."""
    if isinstance(rig, EmulatedLegsRig):
        return PlacingTask(offer(task, rig=rig, world=rig.world), rig)
    rig.close()
    raise UserError(
        f"task={name}: on a physical robot nobody measures its true velocity and height, by which this task judges; "
        f"use robot.bus={EMULATED}"
    )


def _require_plain(simulated: SimRig) -> None:
    """The emulator's motors follow what they are told over the wire, and its world is the description's."""
    if simulated.randomised or any(robot.servos is not None for robot in simulated.robots):
        raise UserError(
            f"robot.bus={EMULATED}: the emulated robot has ideal motors and the description's world; leave "
            f"task.rig.servo=ideal and task.rig.randomise=none"
        )

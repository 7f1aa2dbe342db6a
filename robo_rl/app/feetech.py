"""Rigs on a Feetech bus: a serial port with an arm behind it, or an emulated bus with a simulated world behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardware.calibrate import Person, calibrate
from hardware.calibration import default_path, load_calibration
from hardware.device import Device, GuardedRobot
from hardware.driven import DrivenRobot
from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.guard import Guard
from hardware.rig import DeviceRig
from robo_rl.app.build import instantiate, offer
from robo_rl.app.emulated import EmulatedRig, SharedTask, WorldPlant
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from robo_rl.task import Task

EMULATED = "emulated"
PRIORITY = 60  # of the emulated servos, above their driver's


def make_rig(
    description: Path,
    guard: Guard,
    arm: Mapping[str, Any],
    driver: Mapping[str, Any] | None = None,
    bus: str | None = None,
    id: str = "arm",
    calibration: str | None = None,
    world: Mapping[str, Any] | None = None,
) -> DeviceRig:
    """The rig of one arm; it opens nothing before `connect`.

    Args:
        description: file of the robot's description.
        guard: what every command passes.
        arm: node of the device.
        driver: node of how its driver's process runs; None drives it in this process.
        bus: serial port, or "emulated".
        id: name of the arm, from which its calibration file follows.
        calibration: that file; the emulated bus brings its own.
        world: node of the simulated rig that stands behind the emulated bus.
    """
    robot = RobotDescription.load(description)
    bus = _named(bus, robot)
    if bus != EMULATED:
        found = load_calibration(_file(robot, id, calibration), robot)
        return DeviceRig(
            [_driven(instantiate(arm, description=robot, port=bus, calibration=found, guard=guard), driver)]
        )
    if world is None:
        raise UserError(f"robot.bus={bus}: this task has no simulated world to stand behind an emulated bus")
    simulated = offer({**world, "nthread": 1}, description=description, n=1)
    plant = WorldPlant(simulated.world, robot)
    emulator = FeetechBusEmulator(robot, plant, priority=PRIORITY)
    made = instantiate(arm, description=robot, port=emulator.port, calibration=emulator.calibration, guard=guard)
    return EmulatedRig(_driven(made, driver), simulated, plant, emulator)


def task_on_rig(rig: DeviceRig, task: Mapping[str, Any], name: str) -> Task:
    """The task `task` (a node) on this rig: one that begins and judges episodes in a simulated world needs one."""
    if isinstance(rig, EmulatedRig):
        return SharedTask(offer(task, rig=rig, world=rig.world), rig.bus.lock)
    rig.close()
    raise UserError(
        f"task={name}: on a physical arm it needs an object tracker, and this version has none; "
        f"use robot.bus={EMULATED}"
    )


def find_calibration(
    description: RobotDescription,
    person: Person,
    bus: str | None = None,
    id: str = "arm",
    calibration: str | None = None,
) -> list[tuple[str, Any]]:
    """Calibrate the arm on `bus` with a person and save; what was found, as rows of names and values."""
    port, path = _named(bus, description), _file(description, id, calibration)
    if port == EMULATED:
        raise UserError(f"robot.bus={EMULATED}: the emulated bus brings its own calibration")
    found = calibrate(port, description, person)
    found.save(path)
    travels = [(name, f"{joint.range_min} to {joint.range_max}") for name, joint in found.joints.items()]
    return [*travels, ("saved", path)]


def _driven(device: Device, driver: Mapping[str, Any] | None) -> GuardedRobot:
    return device if driver is None else DrivenRobot(device, instantiate(driver))


def _named(bus: str | None, robot: RobotDescription) -> str:
    """A driver that moves something does not guess its port."""
    if bus is None:
        raise UserError(
            f"robot.bus=: robot={robot.name} needs a serial port, e.g. /dev/ttyACM0 (robo-rl doctor lists them), "
            f"or {EMULATED}"
        )
    return bus


def _file(robot: RobotDescription, id: str, calibration: str | None) -> Path:
    return default_path(robot.name, id) if calibration is None else Path(calibration).expanduser()

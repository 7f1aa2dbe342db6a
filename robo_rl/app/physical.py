"""Rigs of physical arms: a bus with an arm behind it, or an emulated bus with a simulated world behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardware.calibrate import Person, calibrate
from hardware.calibration import default_path, load_calibration
from hardware.device import Device, GuardedRobot
from hardware.driven import DrivenRobot
from hardware.emulators.process import EmulatedProcess
from hardware.guard import Guard
from hardware.latch import FaultLatch, fault_path
from hardware.rig import DeviceRig
from hardware.servo_family import ServoFamily
from robo_rl.app.build import instantiate, offer, target_of
from robo_rl.app.emulated import EmulatedRig, SharedTask
from robo_rl.app.mirror import MirroredBus
from robo_rl.app.sensing import make_sensors, on_person, terminal_keys
from robo_rl.app.world_plant import WorldPlant, WorldPlantFactory
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription
from robo_rl.task import Task

EMULATED = "emulated"
PRIORITY = 60  # of the emulated servos, above their driver's


def make_rig(
    description: Path,
    guard: Guard,
    arm: Mapping[str, Any],
    emulator: Mapping[str, Any],
    driver: Mapping[str, Any] | None = None,
    bus: str | None = None,
    id: str = "arm",
    calibration: str | None = None,
    world: Mapping[str, Any] | None = None,
    sensing: Mapping[str, Any] | None = None,
    calibrated: bool = True,
) -> DeviceRig:
    """The rig of one arm; it opens nothing before `connect`.

    Args:
        description: file of the robot's description.
        guard: what every command passes.
        arm: node of the device.
        emulator: node of the emulated bus.
        driver: node of how its driver's process runs; None drives it in this process.
        bus: serial port, network address, or "emulated".
        id: name of the arm, from which its calibration file follows.
        calibration: that file; the emulated bus brings its own.
        world: node of the simulated rig that stands behind the emulated bus.
        sensing: cameras and tracker, see `make_sensors`; the emulated bus has those of its world.
        calibrated: it has a calibration file; else a controller knows its joints, at an address.
    """
    robot = RobotDescription.load(description)
    bus = _named(bus, robot)
    if bus != EMULATED:
        file = _file(robot, id, calibration)
        wiring = {"port": bus, "calibration": load_calibration(file, robot)} if calibrated else {"address": bus}
        made = instantiate(arm, description=robot, guard=guard, **wiring)
        made.latch = FaultLatch(fault_path(robot.name, id), f"robot={robot.name} robot.bus={bus} robot.id={id}")
        return DeviceRig([_driven(made, driver)], make_sensors(robot, id, **(sensing or {})))
    if world is None:
        raise UserError(f"robot.bus={bus}: this task has no simulated world to stand behind an emulated bus")
    simulated = offer({**world, "nthread": 1}, description=description, n=1)
    plant, elsewhere = WorldPlant(simulated.world, robot), issubclass(target_of(emulator), EmulatedProcess)
    plug = {"factory": WorldPlantFactory.of(simulated.world, robot)} if elsewhere else {"plant": plant}
    servos = instantiate(emulator, description=robot, priority=PRIORITY, **plug)
    made = instantiate(arm, description=robot, guard=guard, **servos.wiring)
    behind = MirroredBus(simulated.world, servos) if elsewhere else servos
    return EmulatedRig(_driven(made, driver), simulated, plant, behind)


def task_on_rig(rig: DeviceRig, task: Mapping[str, Any], name: str) -> Task:
    """The task `task` (a node) on this rig; where there is no simulated world, a person begins and judges episodes."""
    if isinstance(rig, EmulatedRig):
        return SharedTask(offer(task, rig=rig, world=rig.world), rig.bus.lock)
    if rig.sensors:
        return on_person(task, name, terminal_keys())
    rig.close()
    raise UserError(
        f"task={name}: on a physical arm it needs an object tracker or cameras; give robot.tracker= or "
        f"task.rig.cameras= (docs/cameras.md), or use robot.bus={EMULATED}"
    )


def find_calibration(
    description: RobotDescription,
    person: Person,
    family: ServoFamily,
    bus: str | None = None,
    id: str = "arm",
    calibration: str | None = None,
) -> list[tuple[str, Any]]:
    """Calibrate the arm on `bus` with a person and save; what was found, as rows of names and values."""
    port, path = _named(bus, description), _file(description, id, calibration)
    if port == EMULATED:
        raise UserError(f"robot.bus={EMULATED}: the emulated bus brings its own calibration")
    found = calibrate(family, port, description, person)
    found.save(path)
    travels = [(name, f"{joint.range_min} to {joint.range_max}") for name, joint in found.joints.items()]
    return [*travels, ("saved", path)]


def _driven(device: Device, driver: Mapping[str, Any] | None) -> GuardedRobot:
    return device if driver is None else DrivenRobot(device, instantiate(driver))


def _named(bus: str | None, robot: RobotDescription) -> str:
    """A driver that moves something does not guess its port."""
    if bus is None:
        raise UserError(
            f"robot.bus=: robot={robot.name} needs a serial port, e.g. /dev/ttyACM0 (robo-rl find lists them), "
            f"an address, or {EMULATED}"
        )
    return bus


def _file(robot: RobotDescription, id: str, calibration: str | None) -> Path:
    return default_path(robot.name, id) if calibration is None else Path(calibration).expanduser()

"""A person who may take over: built from `teleop=`, watched by the rig, counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from hardware.calibration import default_path, load_calibration
from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.guard import Guard
from hardware.keys import Keys
from hardware.teleop_leader import Leader
from policies.override import INTERVENTION, Override
from robo_rl.app import session
from robo_rl.app.build import description_path, instantiate, offer
from robo_rl.app.physical import EMULATED
from robo_rl.app.sensing import terminal_keys
from robo_rl.env import Env, RigEnv
from robo_rl.errors import UserError
from robo_rl.loop import Observer
from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from robo_rl.teleop import Teleoperator
from robo_rl.types import Action, Step

DEVICES = "keyboard, gamepad, spacemouse, leader"


class Interventions:
    """Observer: how often and how long the person acted."""

    def __init__(self) -> None:
        self._ticks = self._acted = self._times = 0
        self._before = False

    def __call__(self, step: Step, action: Action) -> None:
        acts = bool(action.extra[INTERVENTION][0, 0]) and bool(step.live[0])
        self._ticks += int(step.live[0])
        self._acted += acts
        self._times += acts and not self._before
        self._before = acts

    @property
    def summary(self) -> dict[str, Any]:
        """`interventions`, a number, and `intervention_share`, the share of ticks."""
        return {"interventions": self._times, "intervention_share": self._acted / self._ticks if self._ticks else 0.0}


class Shared(NamedTuple):
    """A policy that a person may take over from, what has to be observed for it, and what a result says of it."""

    policy: Policy
    observers: tuple[Observer, ...] = ()
    interventions: Interventions | None = None

    @property
    def summary(self) -> dict[str, Any]:
        return {} if self.interventions is None else self.interventions.summary


@contextmanager
def shared(config: DictConfig, env: Env, policy: Policy, begins: bool = False) -> Iterator[Shared]:
    """`policy` with the person of `teleop=` over it; `begins`: the person acts from the start, and has to be there."""
    if "_target_" not in config.teleop:
        if begins:
            raise UserError(f"teleop=none: a person is to act; give teleop= one of {DEVICES}")
        yield Shared(policy)
        return
    teleop = make_teleop(config, env)
    teleop.connect()
    try:
        tell = getattr(teleop, "help", None)
        if tell is not None:
            session.note(tell)
        counts = Interventions()
        acting = Override(policy, teleop, env.act_spec, begins, tell=session.note)
        yield Shared(acting, (counts, *_watched(env, teleop)), counts)
    finally:
        teleop.close()


def make_teleop(config: DictConfig, env: Env) -> Teleoperator:
    """The device of `teleop=`; raises `UserError` where it does not fit the robot."""
    if not isinstance(env, RigEnv) or "description" not in config.robot:
        raise UserError(f"teleop=: task={config.task.name} has no robot that a person could move")
    description = RobotDescription.load(description_path(config.robot.description))
    if env.act_spec != description.act_spec or env.n != 1:
        raise UserError(f"teleop=: moves one robot by its joints; robot={config.robot.name} is commanded otherwise")
    if "path" in config.teleop and config.teleop.path is None:
        raise UserError("teleop.path=: is needed; ls /dev/input/by-id shows what is plugged in")
    return offer(config.teleop, description=description, keys=terminal_keys())


def make_leader(
    description: RobotDescription,
    keys: Keys,
    bus: str | None = None,
    id: str = "leader",
    calibration: str | None = None,
    arm: Mapping[str, Any] | None = None,
    emulator: Mapping[str, Any] | None = None,
) -> Leader:
    """A leader arm of the same kind as the robot, read by a process of its own.

    Args:
        description: of the robot.
        keys: of the terminal.
        bus: serial port, or "emulated": an arm that nobody moves.
        id, calibration: as for the robot.
        arm, emulator: nodes of the robot's own device and emulated bus.
    """
    if arm is None or emulator is None:
        raise UserError(
            f"teleop=leader: works where the robot has a bus, e.g. robot=so101; {description.name} has none"
        )
    if bus is None:
        raise UserError(f"teleop.bus=: the leader's serial port is needed, e.g. /dev/ttyACM1, or {EMULATED}")
    if bus == EMULATED:
        wiring = instantiate(emulator, description=description).wiring
    else:
        file = default_path(description.name, id) if calibration is None else Path(calibration).expanduser()
        wiring = {"port": bus, "calibration": load_calibration(file, description)}
    device = instantiate(arm, description=description, guard=Guard(description, 1), **wiring)
    return Leader(description, DrivenRobot(device, DriverSettings(guardian=False)), keys)


def _watched(env: Env, teleop: Teleoperator) -> tuple[Observer, ...]:
    """A device that is gone, or a stop, is a fault of a rig that knows faults, and else ends the run."""
    rig: Any = getattr(env, "rig", None)
    rig = getattr(rig, "rig", rig)
    if hasattr(rig, "watch"):
        rig.watch(lambda: teleop.problem)
        return ()

    def check(step: Step, action: Action) -> None:
        if teleop.problem:
            raise UserError(f"teleop=: {teleop.problem}")

    return (check,)

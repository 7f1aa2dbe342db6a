"""What every joint-position device shares: a guard before its bus, a ramp to the home pose, finite readings, a safe
state after a fault."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np

from hardware.guard import Guard
from hardware.guardian import Takeover
from hardware.latch import FaultLatch
from hardware.ramp import Ramp
from robo_rl.kinematics import Kinematics
from robo_rl.ranges import POSITIVE, Range
from robo_rl.robot import Robot, RobotDescription, Stamp
from robo_rl.spec import Spec
from robo_rl.types import Obs

ONE = np.ones(1, bool)
ABANDONED = 0.5  # [s] without a call of `home`, after which switching on begins anew


class GuardedRobot(Robot):
    """One described robot (N = 1) whose commands pass a guard, in this process or in another one.

    `senses` is what it measures besides its joints (floating-point features): part of its observation.
    """

    senses = Spec({})
    latch: FaultLatch | None = None  # remembers faults beyond the end of the process

    def __init__(self, description: RobotDescription, guard: Guard) -> None:
        self.description, self.guard = description, guard
        self.obs_spec, self.act_spec = description.obs_spec | self.senses, description.act_spec
        self._kinematics = Kinematics(description) if description.tool_parent else None

    @abstractmethod
    def clear(self) -> None:
        """Forget a latched fault; the next `home` starts from the measured pose."""

    def rest(self) -> None:
        """Hold, and do not expect commands until the next one: see `Rig.rest`."""

    def recover(self) -> list[str]:
        """End what the disconnected device itself has latched, where a program can; what there was, in words."""
        return []

    @abstractmethod
    def start_at(self, position: np.ndarray) -> None:
        """From now on `home` goes to `position` (A,) [rad], in so far as the joints' limits let it."""

    @property
    def report(self) -> Mapping[str, Any]:
        """How its driver did, for result files; nothing where it has no process of its own."""
        return {}

    def observed(
        self, position: np.ndarray, velocity: np.ndarray, stamp: float, applied: np.ndarray, sensed: np.ndarray
    ) -> tuple[Obs, Stamp]:
        """The observation made of joint position, velocity and accepted setpoint (A,), and of packed `senses`."""
        obs = {
            "joint_position": position.astype(np.float32)[None],
            "joint_velocity": velocity.astype(np.float32)[None],
            "applied": applied.astype(np.float32)[None],
        }
        if self._kinematics is not None:
            pose = self._kinematics.tool_pose(np.nan_to_num(position)[None])
            obs[self.description.tool_key] = pose.astype(np.float32)
        obs |= self.senses.unpack(sensed[None])
        return obs, dict.fromkeys(obs, np.array([stamp]))


class Device(GuardedRobot):
    """A robot on a bus of this process. A driver adds opening, sending, measuring and releasing.

    Args:
        description: joints, limits, home pose and control period.
        guard: default a `Guard` of that description; its period is the one between two commands.
        home_speed: speed of the homing ramp, as a fraction of the joints' `max_speed`.
        tolerance: joint error below which the robot is home [rad].
        max_first: how far the first target after homing may be from where the robot is [rad]; None is any distance.
    """

    part: ClassVar = "arm"  # its name in a rig's keys

    def __init__(
        self,
        description: RobotDescription,
        guard: Guard | None = None,
        home_speed: float = 0.5,
        tolerance: float = 0.05,
        max_first: float | None = None,
    ) -> None:
        super().__init__(description, Guard(description, 1) if guard is None else guard)
        self._home = description.array("home").astype(np.float32)[None]
        self.check(POSITIVE, home_speed=home_speed, tolerance=tolerance)
        self.check(POSITIVE.or_null, max_first=max_first)
        self._home_speed, self._tolerance, self._max_first = home_speed, tolerance, max_first
        self._ramp: Ramp | None = None
        self.holding = False  # the motors are on, and the guard knows where the robot is
        self._switching: tuple[np.ndarray, Iterator[None]] | None = None  # on: the pose at first, and the rest of it
        self._switched = float("-inf")  # [s] when some of it was done
        self._begun = self._safe = False  # a policy's target was accepted; a fault has been answered
        nothing = np.zeros(len(description.joints))
        self.measured = (description.array("home"), nothing, float("-inf"))  # what `measure` returned last
        self.sensed = np.zeros(self.senses.vector_size, np.float32)  # `senses` at that time, packed

    def check(self, valid: Range, **values: Any) -> None:
        """Raise `UserError` for an argument whose value is not valid."""
        for name, value in values.items():
            valid.check(f"robot.rig.{self.part}.{name}", value)

    def home(self, where: np.ndarray) -> np.ndarray:
        """One tick of a ramp from the measured pose to the home pose. A robot with a fault does not move."""
        if not where.any() or self.guard.faults.any():
            return np.zeros_like(where)
        position, _, _ = self.measure()
        if not self.holding:
            self._switch_on(position)
            return np.zeros_like(where)
        self._begun = False
        setpoint = self._move(self._homeward()[None], where)
        near = np.abs(position - self._home).max() < self._tolerance
        return where & near & (setpoint == self._home).all()

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        if live.any():
            self.admit(action)
        return self._move(action, live)

    def start_at(self, position: np.ndarray) -> None:
        self._home = self.act_spec.clip(position.astype(np.float32)[None])

    def admit(self, action: np.ndarray) -> None:
        """Latch a fault where a first target (1, A) is too far away."""
        away = np.abs(action - self.guard.sent)[0]
        if not self._begun and self._max_first is not None and (away > self._max_first).any():
            joint = int(np.argmax(away))
            self.guard.fault(
                ONE,
                f"first target too far away: {self.description.names[joint]} by {away[joint]:.2f} rad, limit "
                f"{self._max_first:.2f}; does the policy begin at the home pose?",
            )
        self._begun = True

    def read(self) -> tuple[Obs, Stamp]:
        return self.observed(*self.measure(), self.guard.sent[0], self.sensed)

    def measure(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Latest joint position (A,) [rad], velocity (A,) [rad/s] and capture time [s]; safe state after a fault."""
        self.measured = position, velocity, _ = self._measure()
        if not (np.isfinite(position).all() and np.isfinite(velocity).all()):
            self.guard.fault(ONE, "measured joint state is not finite")
        self._settle()
        return self.measured

    def clear(self) -> None:
        self.guard.clear(ONE)
        self.holding = self._begun = self._safe = False
        self._switching = None

    def at(self, dt: float) -> Self:
        """This device, not connected yet, for another time between two commands [s]."""
        twin = copy(self)
        twin.guard = self.guard.at(dt)
        return twin

    def takeover(self) -> Takeover | None:
        """What a guardian needs to bring the safe state; None where the device itself notices that nobody commands."""
        return None

    def tally(self) -> Mapping[str, int]:
        """What happened on the bus so far: `transactions`, attempts `retried`, transactions `failed`."""
        return {}

    def _homeward(self) -> np.ndarray:
        """The next setpoint (A,) on the way home; a new way where the guard left the last one."""
        sent = self.guard.sent[0]
        if self._ramp is None or not np.array_equal(self._ramp.last, sent):
            velocity = self.guard.velocity[0]
            self._ramp = Ramp(self.description, self._home_speed, self.guard.dt, sent, velocity, self._home[0])
        return self._ramp.step()

    def _move(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        setpoint = self.guard.filter(action, live)
        if live.any() and not self.guard.faults.any():
            self._send(setpoint[0])
        self._settle()
        return setpoint

    def _settle(self) -> None:
        """The first look after a fault brings the safe state."""
        if self.guard.faults.any() and not self._safe:
            self._safe = True
            self.stop()
            if self.latch is not None:
                self.latch.set(self.guard.reasons[0])

    def _switch_on(self, position: np.ndarray) -> None:
        """As much of `_activate` as half a period lets be done: who commands and who watches this process do not wait
        while a servo answers late."""
        now = time.monotonic()
        if self._switching is None or now - self._switched > ABANDONED:
            self._switching = position, iter(self._activate(position) or ())
        pose, rest = self._switching
        for _ in rest:
            self._switched = time.monotonic()
            if self._switched - now > self.guard.dt / 2 and not self.guard.faults.any():
                return
        self._switching = None
        self.guard.reset(ONE, pose[None])
        self.holding = not self.guard.faults.any()
        self._settle()

    def _activate(self, position: np.ndarray) -> Iterable[None] | None:
        """Let the motors hold the measured `position` (A,) [rad]; called before the first command after `connect` or
        `clear`. Latches a fault of the guard where that fails. What takes longer than a period is a generator that
        yields wherever the rest may wait for the next tick."""

    @abstractmethod
    def _send(self, setpoint: np.ndarray) -> None:
        """Put joint setpoints (A,) float32 [rad] on the bus."""

    @abstractmethod
    def _measure(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Latest joint position (A,) [rad], velocity (A,) [rad/s] and capture time [s] on the monotonic clock."""

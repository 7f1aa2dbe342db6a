"""What a real position servo does beside being a spring: data of the robot's description, applied at every substep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from robo_rl.errors import UnknownName, UserError
from robo_rl.robot import RobotDescription

MAX_LATENCY = 4.0  # [ticks]
SERVOS = ("ideal", "real")
Number = float | tuple[float, ...]
"""One for all joints, or one a joint."""


@dataclass(frozen=True)
class ServoDetails:
    """Zeros are an ideal servo: torque = clip(kp * (setpoint - position), +-max_torque), at once."""

    encoder: int = 0  # steps a turn; 0: continuous
    dead_band: Number = 0.0  # error that causes no torque [rad]
    no_load_speed: Number = 0.0  # at which no torque is left [rad/s]; 0: full torque at every speed
    backlash: Number = 0.0  # free play of the gears, from end to end [rad]
    latency: float = 0.0  # from a setpoint to its first torque [ticks], fractions too
    lookahead: float = 0.0  # time constant with which the controller follows a setpoint [s]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not np.all(np.asarray(value) >= 0):
                raise UserError(f"robot description: servo_details.{name}={value}: must not be below 0")
        if self.latency > MAX_LATENCY:
            raise UserError(f"robot description: servo_details.latency={self.latency}: at most {MAX_LATENCY} ticks")

    @classmethod
    def of(cls, description: RobotDescription) -> ServoDetails:
        """Those of `description.model`. Raises `UserError` where it has none, or one that is not known."""
        try:
            details: Mapping[str, Any] = description.model["servo_details"]
            values = {key: tuple(value) if isinstance(value, list) else value for key, value in details.items()}
            return cls(**cast(Any, values))
        except KeyError as error:
            raise UserError(f"robot description {description.name}: lacks model.servo_details") from error
        except TypeError as error:
            valid = ", ".join(vars(cls()))
            raise UserError(
                f"robot description {description.name}: servo_details: {error}; valid keys: {valid}"
            ) from error


def chosen_details(description: RobotDescription, servo: str, modelled: bool) -> ServoDetails | None:
    """What `task.rig.servo=` asks for: "real" is the description's details, "ideal" an ideal servo model where one has
    to be `modelled`, else None. Raises `UnknownName` for another name."""
    if servo not in SERVOS:
        raise UnknownName("task.rig.servo", servo, SERVOS)
    return ServoDetails.of(description) if servo == "real" else ServoDetails() if modelled else None


class Servos:
    """The servos of one arm in N simulations.

    A controller with a lookahead follows the setpoint as a first-order lag. Backlash is hysteresis between the setpoint
    and the position that is held; the dead band compares that position with what the encoder shows; torque falls
    linearly with the speed in its direction (a DC motor at one voltage). It limits the whole torque of a motor that has
    a `kd`: clip(kp * error - kd * velocity).

    Attributes:
        kp: (N, A) gain of the servos in the model [N.m/rad].
        torque: (N, A) stall torque [N.m].
        latency: (N,) [ticks], at most `MAX_LATENCY`.
    """

    def __init__(self, description: RobotDescription, details: ServoDetails, n: int, substeps: int) -> None:
        joints = len(description.joints)
        self.details, self.substeps = details, substeps
        self.kp = np.tile(description.servo("kp"), (n, 1))
        self.torque = np.tile(description.array("max_torque"), (n, 1))
        self.latency = np.full(n, details.latency)
        self._sent = np.zeros((int(MAX_LATENCY) + 1, n, joints))  # setpoints, the latest first
        self._followed = np.zeros((n, joints))  # the setpoint, as the controller follows it
        self._held = np.zeros((n, joints))  # where backlash lets the output be held
        speed, lag = np.asarray(details.no_load_speed, np.float64), details.lookahead
        self._speed = np.where(speed > 0, speed, np.inf) if speed.any() else None  # [rad/s]
        self._follow = 1.0 if lag == 0 else 1.0 - np.exp(-description.dt / substeps / lag)  # share of a substep
        self._play, self._band = np.asarray(details.backlash) / 2, np.asarray(details.dead_band)
        self._damping = np.asarray(description.model["servo"].get("kd", 0.0)) / description.servo("kp")  # (A,) [s]
        self._rows = np.arange(n)

    def home(self, where: np.ndarray, position: np.ndarray) -> None:
        """Rows `where` (N,) bool have been told to be at `position` (A,) [rad] for long."""
        self._sent[:, where] = position
        self._followed[where] = self._held[where] = position

    def command(self, setpoint: np.ndarray, live: np.ndarray) -> None:
        """Setpoints (N, A) [rad] of a new tick for the rows `live` (N,) bool."""
        self._sent[1:, live] = self._sent[:-1, live]
        self._sent[0, live] = setpoint[live]

    def drive(self, substep: int, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Targets (N, A) [rad] for the model's ideal servos in one substep of the tick.

        Args:
            substep: its number, from 0.
            position, velocity: true state of the joints (N, A) [rad] [rad/s].
        """
        age = np.ceil(self.latency - substep / self.substeps - 1e-9).clip(0).astype(np.int64)
        target = self._sent[age, self._rows]
        if self._follow < 1.0:
            target = self._followed = self._followed + self._follow * (target - self._followed)
        self._held = np.clip(self._held, target - self._play, target + self._play)
        error = self._held - self.measured(position)
        error = np.where(np.abs(error) <= self._band, 0.0, error)
        forward, backward = self.torque, self.torque
        if self._speed is not None:
            share = velocity / self._speed
            forward = self.torque * np.clip(1.0 - share, 0.0, 1.0)
            backward = self.torque * np.clip(1.0 + share, 0.0, 1.0)
        braked = self._damping * velocity  # the model's motor subtracts it: PD at the motor
        return position + braked + np.clip(error - braked, -backward / self.kp, forward / self.kp)

    def measured(self, position: np.ndarray) -> np.ndarray:
        """What the encoders show of positions (N, A) [rad]."""
        if not self.details.encoder:
            return position
        step = 2 * np.pi / self.details.encoder
        return np.round(position / step) * step

    def save_state(self, rows: np.ndarray) -> np.ndarray:
        """What is on its way to the motors of some rows, (K, S)."""
        return np.concatenate([*self._sent[:, rows], self._followed[rows], self._held[rows]], axis=1)

    def load_state(self, rows: np.ndarray, state: np.ndarray) -> None:
        """Restore what `save_state` returned."""
        *sent, followed, held = np.split(state, len(self._sent) + 2, axis=1)
        self._sent[:, rows], self._followed[rows], self._held[rows] = np.stack(sent), followed, held

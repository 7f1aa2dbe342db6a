"""What a real position servo does beside being a spring: data of the robot's description, applied at every substep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription

MAX_LATENCY = 4.0  # [ticks]


@dataclass(frozen=True)
class ServoDetails:
    """Zeros are an ideal servo: torque = clip(kp * (setpoint - position), +-max_torque), at once."""

    encoder: int = 0  # steps a turn; 0: continuous
    dead_band: float = 0.0  # error that causes no torque [rad]
    no_load_speed: float = 0.0  # at which no torque is left [rad/s]; 0: full torque at every speed
    backlash: float = 0.0  # free play of the gears, from end to end [rad]
    latency: float = 0.0  # from a setpoint to its first torque [ticks], fractions too

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise UserError(f"robot description: servo_details.{name}={value}: must not be below 0")
        if self.latency > MAX_LATENCY:
            raise UserError(f"robot description: servo_details.latency={self.latency}: at most {MAX_LATENCY} ticks")

    @classmethod
    def of(cls, description: RobotDescription) -> ServoDetails:
        """Those of `description.model`. Raises `UserError` where it has none, or one that is not known."""
        try:
            return cls(**description.model["servo_details"])
        except KeyError as error:
            raise UserError(f"robot description {description.name}: lacks model.servo_details") from error
        except TypeError as error:
            valid = ", ".join(vars(cls()))
            raise UserError(
                f"robot description {description.name}: servo_details: {error}; valid keys: {valid}"
            ) from error


class Servos:
    """The servos of one arm in N simulations.

    Backlash is hysteresis between the setpoint and the position that is held; the dead band compares that position
    with what the encoder shows; torque falls linearly with the speed in its direction (a DC motor at one voltage).

    Attributes:
        kp: (N, A) gain of the servos in the model [N.m/rad].
        torque: (N, A) stall torque [N.m].
        latency: (N,) [ticks], at most `MAX_LATENCY`.
    """

    def __init__(self, description: RobotDescription, details: ServoDetails, n: int, substeps: int) -> None:
        joints = len(description.joints)
        self.details, self.substeps = details, substeps
        self.kp = np.full((n, joints), description.model["servo"]["kp"])
        self.torque = np.tile(description.array("max_torque"), (n, 1))
        self.latency = np.full(n, details.latency)
        self._sent = np.zeros((int(MAX_LATENCY) + 1, n, joints))  # setpoints, the latest first
        self._held = np.zeros((n, joints))  # where backlash lets the output be held
        self._rows = np.arange(n)

    def home(self, where: np.ndarray, position: np.ndarray) -> None:
        """Rows `where` (N,) bool have been told to be at `position` (A,) [rad] for long."""
        self._sent[:, where] = position
        self._held[where] = position

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
        details = self.details
        age = np.ceil(self.latency - substep / self.substeps - 1e-9).clip(0).astype(np.int64)
        target = self._sent[age, self._rows]
        self._held = np.clip(self._held, target - details.backlash / 2, target + details.backlash / 2)
        error = self._held - self.measured(position)
        error = np.where(np.abs(error) <= details.dead_band, 0.0, error)
        forward, backward = self.torque, self.torque
        if details.no_load_speed:
            share = velocity / details.no_load_speed
            forward = self.torque * np.clip(1.0 - share, 0.0, 1.0)
            backward = self.torque * np.clip(1.0 + share, 0.0, 1.0)
        return position + np.clip(error, -backward / self.kp, forward / self.kp)

    def measured(self, position: np.ndarray) -> np.ndarray:
        """What the encoders show of positions (N, A) [rad]."""
        if not self.details.encoder:
            return position
        step = 2 * np.pi / self.details.encoder
        return np.round(position / step) * step

    def save_state(self, rows: np.ndarray) -> np.ndarray:
        """What is on its way to the motors of some rows, (K, S)."""
        return np.concatenate([*self._sent[:, rows], self._held[rows]], axis=1)

    def load_state(self, rows: np.ndarray, state: np.ndarray) -> None:
        """Restore what `save_state` returned."""
        *sent, held = np.split(state, len(self._sent) + 1, axis=1)
        self._sent[:, rows], self._held[rows] = np.stack(sent), held

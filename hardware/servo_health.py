"""When a servo is not well: limits on what it measures of itself, and the words for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from robo_rl.ranges import COUNT, NOT_NEGATIVE, POSITIVE, SHARE

KEY = "limits"  # of the arm or the legs


@dataclass(frozen=True)
class ServoLimits:
    """Where a reading becomes a fault. The servo's own protection lies beyond them."""

    max_temperature: float = 65.0  # [degrees C]; the servo lets go at 70
    min_voltage: float = 4.5  # [V]; for 12 V arms give 10
    max_sag: float = 0.25  # share of the first voltage that may be missing
    max_current: float | None = 3.0  # [A]; a stalled servo takes 2.7 at 12 V, and its own protection acts at 3.25
    current_samples: int = 3  # readings in a row above it
    stuck_error: float = 0.35  # [rad] between setpoint and joint
    stuck_speed: float = 0.05  # [rad/s] below which a joint stands still
    stuck_time: float = 1.0  # [s] of standing still that far off

    def __post_init__(self) -> None:
        POSITIVE.check_fields(self, KEY, "max_temperature", "stuck_error", "stuck_speed", "stuck_time")
        POSITIVE.or_null.check_fields(self, KEY, "max_current")  # of none for motors that do not report it
        NOT_NEGATIVE.check_fields(self, KEY, "min_voltage")
        SHARE.check_fields(self, KEY, "max_sag")
        COUNT.check_fields(self, KEY, "current_samples")


@dataclass(frozen=True)
class ServoState:
    """What the servos say of themselves, each (J,)."""

    temperature: np.ndarray  # [degrees C]
    voltage: np.ndarray  # [V]
    current: np.ndarray  # [A]
    load: np.ndarray  # share of the stall torque, signed


class ServoHealth:
    """Judges readings. Every method returns what is wrong, naming the joint, or ""."""

    def __init__(self, names: Sequence[str], limits: ServoLimits) -> None:
        self.names, self.limits = tuple(names), limits
        self.state: ServoState | None = None
        self._full: np.ndarray | None = None  # [V] the first voltages
        self._hot = np.zeros(len(names), np.int64)  # readings in a row above the current limit
        self._since = np.full(len(names), np.inf)  # [s] since when a joint has stood still off its setpoint

    def restart(self) -> None:
        """Forget what lies before the motors were switched on."""
        self._hot[:], self._since[:] = 0, np.inf
        self._full = None

    def reported(self, problems: Sequence[str]) -> str:
        """What the servos say of themselves."""
        named = zip(self.names, problems, strict=True)
        return "; ".join(f"{name}: the servo reports {text}" for name, text in named if text)

    def watch(self, state: ServoState) -> str:
        """Temperature, voltage and current."""
        self.state, limits = state, self.limits
        self._full = state.voltage if self._full is None else self._full
        least = np.maximum(limits.min_voltage, self._full * (1 - limits.max_sag))
        most = np.inf if limits.max_current is None else limits.max_current
        self._hot = np.where(state.current > most, self._hot + 1, 0)
        hot, low = state.temperature > limits.max_temperature, state.voltage < least
        return (
            self._say(hot, lambda j: f"{state.temperature[j]:.0f} degrees C, limit {limits.max_temperature:.0f}")
            or self._say(low, lambda j: f"{state.voltage[j]:.1f} V, limit {least[j]:.1f}")
            or self._say(
                self._hot >= limits.current_samples,
                lambda j: f"over-current, {state.current[j]:.1f} A, limit {most:.1f}",
            )
        )

    def moving(self, error: np.ndarray, velocity: np.ndarray, time: float) -> str:
        """Whether joints follow; setpoint error (J,) [rad], velocity (J,) [rad/s], capture time [s]."""
        limits = self.limits
        still = (np.abs(error) > limits.stuck_error) & (np.abs(velocity) < limits.stuck_speed)
        self._since = np.where(still, np.minimum(self._since, time), np.inf)
        return self._say(
            time - self._since > limits.stuck_time,
            lambda j: f"stuck {abs(error[j]):.2f} rad away from its setpoint for {limits.stuck_time:.1f} s",
        )

    def _say(self, where: np.ndarray, words: Callable[[int], str]) -> str:
        return "; ".join(f"{self.names[joint]}: {words(joint)}" for joint in np.flatnonzero(where).tolist())

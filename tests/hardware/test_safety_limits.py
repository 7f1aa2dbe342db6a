"""A safety limit that would never act is refused where it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hardware.balance import BalanceLimits
from hardware.guard import Guard
from hardware.servo_health import ServoHealth, ServoLimits, ServoState
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription

ARM = RobotDescription.load("configs/description/so101.yaml")
NAN = float("nan")


def guard(**options: Any) -> Guard:
    return Guard(ARM, 1, **options)


@pytest.mark.parametrize(
    ("make", "key", "value", "words"),
    [
        (ServoLimits, "max_temperature", NAN, "limits.max_temperature=nan: expected a number above 0"),
        (ServoLimits, "max_temperature", "hot", "limits.max_temperature=hot: expected a number above 0"),
        (ServoLimits, "max_current", NAN, "limits.max_current=nan: expected a number above 0, or null"),
        (ServoLimits, "min_voltage", -1.0, "limits.min_voltage=-1.0: expected a number not below 0"),
        (ServoLimits, "max_sag", 1.5, "limits.max_sag=1.5: expected a number from 0 to 1"),
        (ServoLimits, "current_samples", 0, "limits.current_samples=0: expected a whole number, at least 1"),
        (ServoLimits, "stuck_time", float("inf"), "limits.stuck_time=inf: expected a number above 0"),
        (BalanceLimits, "max_tilt", NAN, "robot.guard.balance.max_tilt=nan: expected a number above 0"),
        (guard, "max_age", NAN, "robot.guard.max_age=nan: expected a number above 0"),
        (guard, "max_misses", 0.5, "robot.guard.max_misses=0.5: expected a whole number, at least 1"),
    ],
)
def test_it_is_refused(make: Callable[..., Any], key: str, value: Any, words: str) -> None:
    with pytest.raises(UserError) as raised:
        make(**{key: value})
    assert str(raised.value) == words


def test_motors_that_report_no_current_have_no_limit_of_it() -> None:
    strong = ServoState(np.full(2, 30.0), np.full(2, 12.0), np.full(2, 1e6), np.zeros(2))

    def says(most: float | None) -> str:
        return ServoHealth(("shoulder", "elbow"), ServoLimits(max_current=most, current_samples=1)).watch(strong)

    assert says(None) == ""
    assert "over-current" in says(1e5)

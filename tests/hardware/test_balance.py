"""Tilt and fall, from what an inertial measurement unit says."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.balance import Balance, BalanceLimits
from robo_rl.legged import without_heading

REST, FLIGHT = np.array([0.0, 0.0, 9.81]), np.array([0.1, -0.2, 0.3])


def rolled(angle: float) -> np.ndarray:
    """An orientation (4,) turned about x, then about the vertical [rad]."""
    yaw, roll = 0.7, angle / 2
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([cos * np.cos(roll), cos * np.sin(roll), sin * np.sin(roll), sin * np.cos(roll)])


def watched(balance: Balance, quaternion: np.ndarray, acceleration: np.ndarray, time: float) -> str:
    """What is wrong with one robot."""
    return balance.watch(quaternion[None], acceleration[None], np.array([time])).get(0, "")


@pytest.mark.parametrize(("angle", "wrong"), [(0.0, False), (1.19, False), (-1.19, False), (1.21, True), (3.0, True)])
def test_a_tilt_beyond_the_limit_is_said_whatever_the_heading(angle: float, wrong: bool) -> None:
    for quaternion in (rolled(angle), without_heading(rolled(angle)[None])[0]):
        said = watched(Balance(BalanceLimits()), quaternion, REST, 0.0)
        assert said == (f"the trunk is tilted by {abs(angle):.2f} rad, limit 1.20" if wrong else "")


def test_what_is_not_a_number_is_no_upright_trunk() -> None:
    assert "tilted" in watched(Balance(BalanceLimits()), np.full(4, np.nan), REST, 0.0)


def test_a_flight_phase_is_no_fall_and_a_fall_is() -> None:
    balance, upright = Balance(BalanceLimits()), rolled(0.0)
    assert not any(watched(balance, upright, FLIGHT, time) for time in (0.0, 0.05, 0.10))
    assert not watched(balance, upright, REST, 0.12)
    assert not any(watched(balance, upright, FLIGHT, time) for time in (0.14, 0.20, 0.28))
    assert watched(balance, upright, FLIGHT, 0.30) == "the robot has been falling for 0.16 s, limit 0.15"
    balance.restart(np.ones(1, bool))
    assert not watched(balance, upright, FLIGHT, 0.31)


def test_rows_are_judged_one_by_one() -> None:
    balance = Balance(BalanceLimits(), 3)
    poses = np.stack([rolled(0.0), rolled(1.5), rolled(0.0)])
    for time in (0.0, 0.1, 0.2):
        found = balance.watch(poses, np.stack([REST, REST, FLIGHT]), np.full(3, time))
    words = ["the trunk is tilted by 1.50 rad, limit 1.20", "the robot has been falling for 0.20 s, limit 0.15"]
    assert found == dict(enumerate(words, 1))

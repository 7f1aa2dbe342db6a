"""The Feetech driver through the real SDK: it keeps the contract of servo arms, and what is its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from hardware import sts3215
from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.feetech import FeetechArm
from hardware.serial_port import _advice
from hardware.servo_health import ServoHealth, ServoLimits, ServoState
from robo_rl.errors import UserError
from tests.contract.servo_arm import ARM, Bench, ServoArmContract


class TestFeetechArm(ServoArmContract):
    arm, bus = FeetechArm, FeetechBusEmulator


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(FeetechBusEmulator, FeetechArm)
    yield made
    made.close()


def test_settings_are_written_once(bench: Bench) -> None:
    bench.arm.connect()
    servo = bench.bus.servo("elbow")
    assert servo.get(sts3215.P_GAIN) == 16 and servo.get(sts3215.LOCK) == 1
    servo.power_cycle()
    assert servo.get(sts3215.P_GAIN) == 16
    bench.arm.close()
    before = bench.arm
    bench.arm = FeetechArm(ARM, before.port, before.calibration)
    bench.arm.connect()
    assert bench.arm.counters.transactions < 60


def test_another_servo_is_refused(bench: Bench) -> None:
    bench.bus.servo("elbow").set(sts3215.MODEL_NUMBER, 2825)
    with pytest.raises(UserError, match=r"servo 2 \(elbow\) is model 2825; expected an STS3215, model 777"):
        bench.arm.connect()
    bench.bus.servo("elbow").set(sts3215.MODEL_NUMBER, sts3215.MODEL)
    bench.arm.connect()  # the port was released


def test_no_permission_names_the_group(bench: Bench) -> None:
    advice = _advice(bench.bus.port, PermissionError(13, "Permission denied"))
    assert advice.startswith("no permission; run: sudo usermod -aG ") and "$USER" in advice


def test_a_missing_extra_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("hardware.feetech_bus",):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "scservo_sdk", None)
    with pytest.raises(UserError, match=r"pip install 'robo-rl\[so101\]'"):
        bench.arm.connect()


def state(current: float) -> ServoState:
    return ServoState(np.full(2, 30.0), np.full(2, 12.0), np.array([0.1, current]), np.zeros(2))


def test_current_is_judged_over_several_readings() -> None:
    health = ServoHealth(ARM.names, ServoLimits(max_current=3.0, current_samples=3))
    peaks = [health.watch(state(current)) for current in (3.1, 3.1, 0.1, 3.1, 3.1)]
    assert peaks == [""] * 5
    assert health.watch(state(3.1)) == "elbow: over-current, 3.1 A, limit 3.0"


def test_a_joint_that_moves_is_not_stuck() -> None:
    health = ServoHealth(ARM.names, ServoLimits(stuck_error=0.3, stuck_speed=0.05, stuck_time=1.0))
    far, slow = np.array([0.0, 0.5]), np.zeros(2)
    assert health.moving(far, slow, 10.0) == health.moving(far, slow, 10.9) == ""
    assert health.moving(far, np.array([0.0, 0.2]), 11.5) == ""  # it moves: the count starts over
    assert health.moving(far, slow, 12.0) == ""
    assert health.moving(far, slow, 13.1) == "elbow: stuck 0.50 rad away from its setpoint for 1.0 s"

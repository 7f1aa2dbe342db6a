"""The Dynamixel driver through the real SDK: it keeps the contract of servo arms, and what is its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from hardware import dynamixel_x
from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.dynamixel import DynamixelArm
from hardware.emulators.dynamixel_bus import DynamixelBusEmulator
from hardware.emulators.plant import SecondOrder
from hardware.emulators.servo_bus import emulated_calibration
from robo_rl.errors import UserError
from tests.contract.servo_arm import ARM, ONE, START, TICK, Bench, ServoArmContract
from tests.fakes import tiny_arm

CALM = {"watchdog": 2.0}  # [s]; a busy machine is no silence


class TestDynamixelArm(ServoArmContract):
    arm, bus = DynamixelArm, DynamixelBusEmulator

    def build(self, **options) -> Bench:
        return super().build(**CALM, **options)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(DynamixelBusEmulator, DynamixelArm, **CALM)
    yield made
    made.close()


def watchdogs(bench: Bench) -> list[int]:
    return [bench.bus.servo(name).get(dynamixel_x.BUS_WATCHDOG) for name in ARM.names]


def wait_for(bench: Bench, held: list[int]) -> None:
    end = time.monotonic() + 5.0
    while watchdogs(bench) != held:
        assert time.monotonic() < end, watchdogs(bench)
        time.sleep(0.01)


def test_the_watchdog_is_armed_with_the_torque_and_disarmed_at_the_end(bench: Bench) -> None:
    bench.arm.connect()
    assert watchdogs(bench) == [0, 0]
    bench.home()
    assert watchdogs(bench) == [100, 100]
    bench.arm.close()
    wait_for(bench, [0, 0])


def test_a_watchdog_that_is_not_what_was_written_is_a_fault(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.arm.connect()
    servo, write = bench.bus.servo("elbow"), bench.bus.servo("elbow").write

    def deaf(address: int, data: bytes) -> int:
        return 0 if address == dynamixel_x.BUS_WATCHDOG.address else write(address, data)

    monkeypatch.setattr(servo, "write", deaf)
    bench.switch_on()
    assert "bus watchdogs hold [100, 0], not 100" in bench.arm.guard.reasons[0]


def test_silence_stops_the_servos_where_they_are_until_somebody_clears_it() -> None:
    bench = Bench(DynamixelBusEmulator, DynamixelArm, watchdog=0.3).home()
    bench.arm.write(bench.arm.guard.sent - np.float32(0.01), ONE)
    wait_for(bench, [-1, -1])
    at = bench.bus.motion.position.copy()
    assert "they heard nothing for 0.30 s" in bench.fault()
    bench.bus.servo("elbow").write(dynamixel_x.GOAL_POSITION.address, bytes([0, 0, 0, 0]))
    assert bench.torque() == [True, True] and np.allclose(bench.bus.motion.position, at, atol=TICK)
    bench.arm.clear()
    bench.home()
    bench.close()


def test_no_watchdog_is_a_choice_and_nonsense_is_none() -> None:
    bench = Bench(DynamixelBusEmulator, DynamixelArm, watchdog=0.0).home()
    assert watchdogs(bench) == [0, 0]
    bench.close()
    for watchdog in (-1.0, 2.6):
        with pytest.raises(UserError, match=rf"watchdog={watchdog}: valid are 0 \(never\) to 2.54 s"):
            DynamixelArm(ARM, "none", emulated_calibration(ARM), watchdog=watchdog)


def test_an_old_firmware_has_no_watchdog(bench: Bench) -> None:
    bench.bus.servo("elbow").set(dynamixel_x.FIRMWARE, 37)
    with pytest.raises(UserError, match=r"servo 2 \(elbow\) has firmware 37, without a bus watchdog; update it"):
        bench.arm.connect()


def test_with_hold_the_arm_needs_no_guardian(bench: Bench) -> None:
    bench.arm.connect()
    assert bench.arm.takeover() is None
    for options in ({"safe": "release"}, {"watchdog": 0.0}):
        other = Bench(DynamixelBusEmulator, DynamixelArm, **options)
        other.arm.connect()
        assert other.arm.takeover() is not None
        other.close()


@pytest.mark.parametrize("safe", ["hold", "release"])
def test_when_the_driver_dies_the_arm_is_safe(safe: str) -> None:
    """Holding by the servos' own watchdog, releasing by the guardian."""
    description = tiny_arm(dt=0.04)
    bus = DynamixelBusEmulator(description, SecondOrder(START), priority=60)
    settings = DriverSettings(rate=100.0, watchdog=10.0, patience=10.0, stall=0.3)
    arm = DrivenRobot(DynamixelArm(description, bus.port, bus.calibration, patience=0.2, safe=safe), settings)
    arm.connect()
    while not arm.home(ONE).all():
        time.sleep(description.dt)
    os.kill(arm.pids["driver"], signal.SIGKILL)
    end = time.monotonic() + 5.0
    safely = {"hold": lambda servo: servo.tripped and servo.on, "release": lambda servo: not servo.on}[safe]
    while not all(safely(bus.servo(name)) for name in description.names):
        assert time.monotonic() < end
        time.sleep(0.01)
    arm.read()
    assert "the driver's process got signal 9" in arm.guard.reasons[0]
    arm.close()
    bus.close()


def test_servos_that_were_turned_keep_their_angle_and_their_turn() -> None:
    """At power-on an encoder counts from its zero: the same pose may be a turn away. Nothing jumps."""
    bench = Bench(DynamixelBusEmulator, DynamixelArm, **CALM)
    for name in ARM.names:
        servo = bench.bus.servo(name)
        servo._begun = (servo._begun or 0) - 3 * 4096
        servo._store(servo._table, servo.goal, servo.position)
    bench.home()
    assert np.allclose(bench.bus.motion.position, ARM.array("home"), atol=0.05)
    assert all(bench.bus.servo(name).get(dynamixel_x.GOAL_POSITION) > 2 * 4096 for name in ARM.names)
    first = next(seen for seen in bench.bus.observed if seen.torque.any())
    assert np.allclose(bench.angles(first), START, atol=TICK)
    bench.close()


def test_a_servo_that_was_without_power_is_noticed(bench: Bench) -> None:
    """It counts from its encoder's zero again; its torque is off."""
    servo = bench.bus.servo("elbow")
    with bench.bus.lock:
        servo._begun = (servo._begun or 0) - 4096
        servo._store(servo._table, servo.goal, servo.position)
    bench.home()
    with bench.bus.lock:
        servo.power_cycle()
    assert "elbow: half a turn beyond the travel; was the servo without power?" in bench.fault()
    bench.arm.clear()
    bench.home()


def test_settings_last_and_gains_are_those_that_were_asked_for() -> None:
    bench = Bench(DynamixelBusEmulator, DynamixelArm, gains={"elbow": [1500, 0, 600]}, torque=0.5, **CALM).home()
    elbow, shoulder = bench.bus.servo("elbow"), bench.bus.servo("shoulder")
    gains = [elbow.get(register) for register in (dynamixel_x.P_GAIN, dynamixel_x.I_GAIN, dynamixel_x.D_GAIN)]
    assert gains == [1500, 0, 600] and shoulder.get(dynamixel_x.P_GAIN) == 800
    assert elbow.torque == pytest.approx(0.5, abs=1e-3)
    elbow.power_cycle()
    assert elbow.get(dynamixel_x.OPERATING_MODE) == 4 and elbow.get(dynamixel_x.RETURN_DELAY) == 0
    bench.close()


def test_gains_have_names_and_three_numbers() -> None:
    for gains, words in (({"knee": [1, 2, 3]}, "robot.rig.arm.gains=knee"), ({"elbow": [1]}, "three numbers: P, I, D")):
        with pytest.raises(UserError, match=words):
            DynamixelArm(ARM, "none", emulated_calibration(ARM), gains=gains)


def test_an_arm_that_holds_is_not_let_go_for_its_settings(bench: Bench) -> None:
    bench.bus.servo("elbow").write(dynamixel_x.TORQUE_ENABLE.address, b"\x01")
    with pytest.raises(UserError, match="servo 2 holds its torque, but its settings have to change"):
        bench.arm.connect()
    assert bench.bus.servo("elbow").on


def test_a_shut_down_servo_takes_no_torque_until_it_is_rebooted(bench: Bench) -> None:
    bench.bus.servo("elbow").forced = 32
    bench.arm.connect()
    bench.bus.servo("elbow").forced = 0
    bench.arm.home(ONE)
    assert "elbow: the servo reports overload" in bench.arm.guard.reasons[0]
    assert bench.torque() == [False, False]


def test_another_servo_is_refused(bench: Bench) -> None:
    bench.bus.servo("elbow").set(dynamixel_x.MODEL_NUMBER, 1020)
    words = r"servo 2 \(elbow\) is model 1020; expected an XL430-W250, model 1060 or an XL330-M077, model 1190 or"
    with pytest.raises(UserError, match=words):
        bench.arm.connect()


def test_a_missing_extra_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hardware.dynamixel_bus")
    monkeypatch.setitem(sys.modules, "dynamixel_sdk", None)
    with pytest.raises(UserError, match=r"pip install 'robo-rl\[koch\]'"):
        bench.arm.connect()

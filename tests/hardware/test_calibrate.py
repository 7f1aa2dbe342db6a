"""A calibration found on the emulated bus, by hands that move its joints, is one that the driver works with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hardware.calibrate import Sweep, calibrate
from hardware.dynamixel import DynamixelArm
from hardware.emulators.dynamixel_bus import DynamixelBusEmulator
from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.emulators.plant import SecondOrder
from hardware.emulators.servo_bus import ServoBusEmulator
from hardware.feetech import FeetechArm
from hardware.servo_arm import ServoBusArm
from robo_rl.errors import UserError
from tests.fakes import tiny_arm

ARM = tiny_arm()
LOW, HIGH = ARM.array("low"), ARM.array("high")
MIDDLE = (LOW + HIGH) / 2


class Hands:
    """Moves the joints (J,) of an emulated arm: to the middle, then along `way`, as far as `share` of the travel."""

    def __init__(self, bus: ServoBusEmulator, plant: SecondOrder, share: float = 1.0, moves: int = 2) -> None:
        self.bus, self.plant, self.share, self.moves = bus, plant, share, moves
        self.asked: list[str] = []
        self.limp: list[bool] = []

    def confirm(self, text: str) -> None:
        self.asked.append(text)
        self.limp.append(all(self.bus.servo(name).torque == 0 for name in ARM.names))
        self._put(MIDDLE)

    def meanwhile(self, text: str) -> Iterator[None]:
        self.asked.append(text)
        for end in (HIGH, LOW):
            for share in np.linspace(0, self.share, 20):
                target = MIDDLE + share * (end - MIDDLE)
                target[self.moves :] = MIDDLE[self.moves :]
                self._put(target)
                yield

    def _put(self, position: np.ndarray) -> None:
        with self.bus.lock:
            self.plant.position = position.copy()


@pytest.fixture
def plant() -> SecondOrder:
    return SecondOrder(LOW + 0.3)


@pytest.fixture(params=[(FeetechArm, FeetechBusEmulator), (DynamixelArm, DynamixelBusEmulator)], ids=["sts", "xl"])
def make(request: pytest.FixtureRequest) -> tuple[type[ServoBusArm], type[ServoBusEmulator]]:
    return request.param


@pytest.fixture
def arm(make) -> type[ServoBusArm]:
    return make[0]


@pytest.fixture
def bus(make, plant: SecondOrder) -> Iterator[ServoBusEmulator]:
    made = make[1](ARM, plant, priority=60)
    for name in ARM.names:  # the last owner left the motors on
        servo = made.servo(name)
        servo.write(servo.torque_enable.address, b"\x01")
    yield made
    made.close()


def test_the_driver_reads_angles_with_the_calibration_that_was_found(arm, bus, plant) -> None:
    hands = Hands(bus, plant)
    found = calibrate(arm.family, bus.port, ARM, hands)
    assert found.array("drive_mode").tolist() == bus.calibration.array("drive_mode").tolist()
    assert hands.limp == [False, True] and len(hands.asked) == 3
    for name in ARM.names:
        bus.servo(name).power_cycle()
    other = arm(ARM, bus.port, found, patience=0.2)
    other.connect()
    for angle in (MIDDLE, MIDDLE + 0.5, LOW + 0.1):
        hands._put(angle)
        assert np.allclose(other.read()[0]["joint_position"], angle, atol=0.01)
    other.close()


def test_the_old_calibration_no_longer_fits(arm, bus, plant) -> None:
    calibrate(arm.family, bus.port, ARM, Hands(bus, plant))
    with pytest.raises(UserError, match="it is of another arm"):
        arm(ARM, bus.port, bus.calibration).connect()


def test_a_joint_that_was_forgotten_is_named(arm, bus, plant) -> None:
    with pytest.raises(UserError, match="elbow: did not move"):
        calibrate(arm.family, bus.port, ARM, Hands(bus, plant, moves=1))


def test_half_a_travel_is_refused(arm, bus, plant) -> None:
    with pytest.raises(UserError, match=r"shoulder: the calibrated travel is 1\.50 rad, the robot's is 3\.00 rad"):
        calibrate(arm.family, bus.port, ARM, Hands(bus, plant, share=0.5))


def test_a_sweep_remembers_the_first_way_and_both_ends() -> None:
    sweep = Sweep(2)
    for ticks in ([2060, 2000], [2300, 1800], [1500, 2500]):
        sweep.add(np.array(ticks))
    assert sweep.first.tolist() == [1, -1]
    assert sweep.least.tolist() == [1500, 1800] and sweep.most.tolist() == [2300, 2500]

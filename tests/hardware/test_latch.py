"""A fault outlives the run that found it, until somebody says that it may go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hardware.dynamixel import DynamixelArm
from hardware.emulators.dynamixel_bus import DynamixelBusEmulator
from hardware.emulators.servo_arm import ServoArm
from hardware.latch import FaultLatch, fault_path
from hardware.rig import DeviceRig
from robo_rl.errors import UserError
from tests.fakes import tiny_arm

ARM = tiny_arm()
ONE = np.ones(1, bool)


@pytest.fixture
def latch(tmp_path: Path) -> FaultLatch:
    return FaultLatch(tmp_path / "deep" / "left.json", "robot=tiny robot.id=left")


def faulty(latch: FaultLatch) -> DeviceRig:
    arm = ServoArm(ARM)
    arm.latch = latch
    rig = DeviceRig([arm])
    rig.connect()
    return rig


def test_a_fault_is_there_for_the_next_run_too(latch: FaultLatch) -> None:
    rig = faulty(latch)
    rig.home(ONE, np.zeros(1, np.int64))
    rig.write(np.full((1, 2), np.nan, np.float32), ONE)
    rig.close()
    assert latch.reason == "setpoint is not finite: shoulder, elbow"
    words = "robot=tiny robot.id=left: a fault of an earlier run is latched: setpoint is not finite: shoulder, elbow"
    with pytest.raises(UserError, match=words) as caught:
        faulty(latch)
    assert str(caught.value).endswith("then: robo-rl reset robot=tiny robot.id=left")
    latch.clear()
    faulty(latch).close()


def test_a_run_that_ends_well_leaves_nothing(latch: FaultLatch) -> None:
    rig = faulty(latch)
    rig.home(ONE, np.zeros(1, np.int64))
    rig.close()
    assert not latch.path.exists()


def test_the_first_fault_is_the_one_that_counts(latch: FaultLatch) -> None:
    latch.set("one")
    latch.set("two")
    assert latch.reason == "one" and os.listdir(latch.path.parent) == ["left.json"]
    latch.clear()
    latch.clear()
    assert latch.reason == ""


@pytest.mark.parametrize("text", ["", "[]", "{}", "\0"])
def test_a_broken_file_counts_as_a_fault(latch: FaultLatch, text: str) -> None:
    latch.path.parent.mkdir()
    latch.path.write_text(text)
    with pytest.raises(UserError, match=r"unknown: .*left\.json cannot be read"):
        latch.require_clear()


def test_a_place_that_cannot_be_written_is_no_reason_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "left.json.new").mkdir()
    rig = faulty(FaultLatch(tmp_path / "left.json", "robot=tiny"))
    rig.robots[0].guard.fault(ONE, "hot")
    rig.read()
    assert rig.messages == ["tiny: hot"]
    rig.close()


def test_it_lives_in_the_users_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert fault_path("koch", "left") == tmp_path / "robo_rl" / "faults" / "koch" / "left.json"


@pytest.fixture
def bus() -> Iterator[DynamixelBusEmulator]:
    made = DynamixelBusEmulator(ARM)
    yield made
    made.close()


def test_what_servos_have_latched_is_said_and_ended(bus: DynamixelBusEmulator) -> None:
    servo = bus.servo("elbow")
    servo.forced = 32
    assert servo.error
    servo.forced = 0
    arm = DynamixelArm(ARM, bus.port, bus.calibration, patience=0.2)
    assert arm.recover() == ["elbow: overload: rebooted"]
    assert arm.recover() == []

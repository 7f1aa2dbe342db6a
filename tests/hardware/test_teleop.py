"""Teleoperators on what their devices really send: a terminal, input events, a bus, reports."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from evdev import InputEvent, ecodes

from hardware import teleop_gamepad
from hardware.emulators.servo_arm import ServoArm
from hardware.rig import DeviceRig
from hardware.teleop_gamepad import EVENT, Gamepad
from hardware.teleop_keyboard import Keyboard
from hardware.teleop_leader import Leader
from hardware.teleop_motion import ToolMotion
from hardware.teleop_spacemouse import Reports, SpaceMouse
from robo_rl.app.build import description_path
from robo_rl.clock import Deadline
from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics
from robo_rl.robot import RobotDescription
from robo_rl.types import Reason
from tests.fakes import FakeClock, tiny_arm
from tests.hardware.terminal import Terminal, terminal

ARM = tiny_arm()
SO101 = RobotDescription.load(description_path("so101"))
HOME = SO101.array("home")
FRONT = np.array([1.0, 0, 0, 0, 0, 0])


@pytest.fixture
def person() -> Iterator[Terminal]:
    with terminal() as made:
        yield made


def through(person: Terminal, text: str) -> None:
    """Type, and wait until it has gone through the terminal."""
    person.type(text + "~")
    end = time.monotonic() + 5
    while not person.keys.take("~") and time.monotonic() < end:
        time.sleep(0.001)


def test_a_key_moves_its_joint_for_a_moment(person: Terminal) -> None:
    clock, at = FakeClock(), np.array([0.3, 0.7])
    keyboard = Keyboard(ARM, person.keys, share=0.5, hold=0.1, now=clock)
    keyboard.connect()
    step = 0.5 * ARM.array("max_speed") * ARM.dt
    assert np.allclose(keyboard.read(at).target, at)
    through(person, "qs")
    assert np.allclose(keyboard.read(at).target, at + step * [1, -1])
    clock.sleep(0.05)
    assert np.allclose(keyboard.read(at).target, at + step * [1, -1])
    clock.sleep(0.1)
    assert np.allclose(keyboard.read(at).target, at)


def test_the_keyboard_takes_over_and_stops(person: Terminal) -> None:
    keyboard = Keyboard(ARM, person.keys)
    keyboard.connect()
    through(person, "\t")
    assert keyboard.read(np.zeros(2)).switch and not keyboard.read(np.zeros(2)).switch
    assert keyboard.problem == ""
    through(person, " ")
    keyboard.read(np.zeros(2))
    assert keyboard.problem == "stop: space was pressed"


def test_a_terminal_that_is_gone_is_a_fault_of_the_robot(person: Terminal) -> None:
    clock = FakeClock()
    rig = DeviceRig([ServoArm(ARM, now=clock)], deadline=Deadline(ARM.dt, now=clock, sleep=clock.sleep), now=clock)
    keyboard = Keyboard(ARM, person.keys)
    rig.connect()
    rig.watch(lambda: keyboard.problem)
    rig.read()
    assert rig.condition[0] == Reason.RUNNING
    person.hang_up()
    keyboard.read(np.zeros(2))
    rig.read()
    assert rig.condition[0] == Reason.FAULT and "the keyboard's terminal is gone" in rig.messages[0]


class Pad:
    """A gamepad's event file, as the kernel writes it."""

    def __init__(self, folder: Path, person: Terminal) -> None:
        path = folder / "event0"
        os.mkfifo(path)
        self.gamepad = Gamepad(SO101, str(path), person.keys)
        self.gamepad.connect()
        self._file = path.open("wb", buffering=0)

    def send(self, kind: int, code: int, value: int) -> None:
        event = InputEvent(12, 345, kind, code, value)
        self._file.write(struct.pack("llHHi", event.sec, event.usec, event.type, event.code, event.value))

    def read(self) -> np.ndarray:
        return self.gamepad.read(HOME).target


@pytest.fixture
def pad(tmp_path: Path, person: Terminal) -> Iterator[Pad]:
    made = Pad(tmp_path, person)
    yield made
    made.gamepad.close()


def test_codes_are_linuxs() -> None:
    names = [name for name in vars(teleop_gamepad) if name.startswith(("EV_", "ABS_", "BTN_"))]
    assert len(names) == 14 and all(getattr(teleop_gamepad, name) == getattr(ecodes, name) for name in names)


def tool(joints: np.ndarray) -> np.ndarray:
    return Kinematics(SO101).tool_pose(np.asarray(joints, np.float64)[None])[0]


def test_sticks_move_the_tool(pad: Pad) -> None:
    at_rest = tool(HOME)
    assert np.allclose(pad.read(), HOME)
    pad.send(ecodes.EV_ABS, ecodes.ABS_Y, -32768)
    moved = tool(pad.read()) - at_rest
    assert moved[0] > 0.003 and np.abs(moved[1:3]).max() < 0.2 * moved[0]  # forward; 0.15 m/s over 33 ms
    pad.send(ecodes.EV_ABS, ecodes.ABS_Y, 1500)  # in the dead zone
    assert np.allclose(pad.read(), HOME, atol=1e-6)
    pad.send(ecodes.EV_ABS, ecodes.ABS_X, 32767)
    assert (tool(pad.read()) - at_rest)[1] < -0.003


def test_shoulder_buttons_move_the_gripper_and_nothing_else(pad: Pad) -> None:
    pad.send(ecodes.EV_KEY, ecodes.BTN_TR, 1)
    change = pad.read() - HOME
    assert change[5] > 0.01 and np.abs(change[:5]).max() < 1e-6
    pad.send(ecodes.EV_KEY, ecodes.BTN_TR, 0)
    pad.send(ecodes.EV_KEY, ecodes.BTN_TL, 1)
    assert (pad.read() - HOME)[5] < -0.01


def test_buttons_take_over_label_and_stop(pad: Pad, person: Terminal) -> None:
    pad.send(ecodes.EV_KEY, ecodes.BTN_SOUTH, 1)
    assert pad.gamepad.read(HOME).switch
    pad.send(ecodes.EV_KEY, ecodes.BTN_SOUTH, 0)
    pad.send(ecodes.EV_KEY, ecodes.BTN_START, 1)
    assert not pad.gamepad.read(HOME).switch and person.keys.take("y") == ["y"]
    pad.send(ecodes.EV_KEY, ecodes.BTN_EAST, 1)
    pad.read()
    assert pad.gamepad.problem == "stop: the gamepad's button was pressed"


def test_an_event_may_come_in_two_parts(pad: Pad) -> None:
    whole = EVENT.pack(0, 0, ecodes.EV_KEY, ecodes.BTN_TR, 1)
    pad._file.write(whole[:7])
    assert np.allclose(pad.read(), HOME)
    pad._file.write(whole[7:])
    assert (pad.read() - HOME)[5] > 0.01


def test_an_unplugged_gamepad_lets_go_and_is_said(pad: Pad) -> None:
    pad.send(ecodes.EV_ABS, ecodes.ABS_Y, -32768)
    pad.read()
    pad._file.close()
    assert np.allclose(pad.read(), HOME) and pad.gamepad.problem.endswith("event0 is gone")


def test_a_gamepad_that_is_not_there_is_said(person: Terminal) -> None:
    with pytest.raises(UserError, match=r"teleop\.path=/dev/input/event77: No such file"):
        Gamepad(SO101, "/dev/input/event77", person.keys).connect()


def test_tool_motion_is_bounded_and_ends_at_the_limits() -> None:
    motion, at, most = ToolMotion(SO101), HOME.copy(), 0.5 * SO101.array("max_speed") * SO101.dt
    for _ in range(300):
        new = motion.step(at, 10 * FRONT, 1.0)
        assert (np.abs(new - at) <= most + 1e-6).all()
        assert (new >= SO101.array("low").astype(np.float32)).all() and (
            new <= SO101.array("high").astype(np.float32)
        ).all()
        at = new.astype(np.float64)
    assert at[5] == pytest.approx(SO101.joints[5].high) and tool(at)[0] > tool(HOME)[0] + 0.1


class LeaderBench:
    """A leader in the test's hand, a follower, and a person."""

    def __init__(self, person: Terminal) -> None:
        self.clock = FakeClock()
        self.arm = ServoArm(ARM, start=(0.1, 0.2), now=self.clock)
        self.leader = Leader(ARM, self.arm, person.keys, now=self.clock)
        self.leader.connect()


def test_the_leader_says_where_it_is_and_is_never_commanded(person: Terminal) -> None:
    bench = LeaderBench(person)
    hand = bench.leader.read(np.zeros(2))
    assert np.allclose(hand.target, [0.1, 0.2], atol=1e-6) and bench.leader.mirrors and not bench.arm.holding
    bench.clock.sleep(1.0)
    assert np.allclose(bench.leader.read(np.ones(2)).target, [0.1, 0.2], atol=1e-6)


def test_a_silent_leader_is_said(person: Terminal) -> None:
    bench = LeaderBench(person)
    bench.leader.read(np.zeros(2))
    assert bench.leader.problem == ""
    bench.arm.stuck = True
    bench.clock.sleep(0.6)
    bench.leader.read(np.zeros(2))
    assert "the leader arm was silent for 0.6" in bench.leader.problem


def test_a_leader_of_another_kind_is_refused(person: Terminal) -> None:
    with pytest.raises(ValueError, match="joints"):
        Leader(SO101, ServoArm(ARM), person.keys)


def test_reports_of_both_kinds_of_spacemouse() -> None:
    old, new = Reports(), Reports()
    old.feed(b"\x01" + struct.pack("<3h", 0, -350, 0))
    old.feed(b"\x02" + struct.pack("<3h", 0, 0, 350))
    new.feed(b"\x01" + struct.pack("<6h", 0, -350, 0, 0, 0, 350))
    for reports in (old, new):
        assert np.allclose(reports.axes, [1, 0, 0, 0, 0, -1])  # pushed forward, turned clockwise seen from above
    new.feed(b"\x01" + struct.pack("<6h", 20, 0, 0, 0, 0, 0))
    assert not new.axes.any()
    new.feed(b"\x03\x01")
    new.feed(b"\x03\x00")
    new.feed(b"\x17\x01\x02")
    new.feed(b"\x01\x00")
    assert new.pressed == {0} and not new.buttons


def test_no_spacemouse_is_said() -> None:
    with pytest.raises(UserError, match="teleop=spacemouse: none is plugged in"):
        SpaceMouse(SO101).connect()

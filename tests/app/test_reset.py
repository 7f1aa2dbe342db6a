"""`reset`, `find bus=` and the key that stops a robot."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hardware.emulators.dynamixel_bus import DynamixelBusEmulator
from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.emulators.servo_arm import ServoArm
from hardware.emulators.servo_bus import ServoBusEmulator
from hardware.keys import Keys
from hardware.latch import FaultLatch, fault_path
from hardware.rig import DeviceRig
from robo_rl.app.build import description_path
from robo_rl.app.stop_key import watch_stop_key
from robo_rl.env import RigEnv
from robo_rl.robot import RobotDescription
from tests.app.support import assert_mistake
from tests.fakes import IdleTask, tiny_arm

ONE = np.ones(1, bool)
EMULATORS = {"so101": FeetechBusEmulator, "koch": DynamixelBusEmulator}


@pytest.fixture(params=EMULATORS)
def bus(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> Iterator[ServoBusEmulator]:
    """An arm on a port, with its calibration file."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    description = RobotDescription.load(description_path(request.param))
    made = EMULATORS[request.param](description, priority=60)
    made.calibration.save(tmp_path / "robo_rl" / "calibration" / request.param / "arm.json")
    yield made
    made.close()


def test_a_latched_fault_keeps_the_arm_still_until_reset_says_what_it_was(robo_rl, bus, tmp_path) -> None:
    robot = bus.description.name
    words = [f"robot={robot}", f"robot.bus={bus.port}", "robot.rig.arm.patience=0.2"]
    latch = FaultLatch(fault_path(robot, "arm"), "")
    latch.set("elbow_flex: 66 degrees C, limit 65")
    assert_mistake(robo_rl("home", *words), ["66 degrees C", f"robo-rl reset robot={robot} robot.bus={bus.port}"])
    assert not bus.observed
    code, text, error = robo_rl("reset", *words, f"out={tmp_path / 'out'}")
    assert code == 0, error
    assert "66 degrees C" in text and not latch.reason and not bus.observed
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    assert found == {"cleared": {robot: ["fault: elbow_flex: 66 degrees C, limit 65"]}}
    code, text, _ = robo_rl("reset", *words)
    assert code == 0 and "no fault was latched" in text


def test_a_robot_that_cannot_be_reached_keeps_its_fault(robo_rl, bus) -> None:
    robot = bus.description.name
    latch = FaultLatch(fault_path(robot, "arm"), "")
    latch.set("hot")
    bus.silence("shoulder_pan")
    assert_mistake(robo_rl("reset", f"robot={robot}", f"robot.bus={bus.port}"), ["servo 1", "shoulder_pan"])
    assert latch.reason == "hot"


@pytest.mark.parametrize("robot", [("robot=so101_sim",), ("robot=so101", "robot.bus=emulated")])
def test_a_robot_without_a_memory_has_nothing_to_reset(robo_rl, robot) -> None:
    assert_mistake(robo_rl("reset", *robot), ["keeps no fault beyond a run"])


def test_find_says_which_servos_answer(robo_rl, bus, tmp_path) -> None:
    code, text, error = robo_rl("find", f"bus={bus.port}", "ids=2", "patience=0.3", f"out={tmp_path / 'out'}")
    assert code == 0, error
    servos = json.loads((tmp_path / "out" / "result.json").read_text())["servos"]
    asked = [one for one in servos if one["baudrate"] == 1_000_000]
    model = {"so101": 777, "koch": 1060}[bus.description.name]
    assert [(one["id"], one["model"]) for one in asked] == [(1, model), (2, model)] and not bus.observed
    assert {"so101": "STS3215", "koch": "XL430"}[bus.description.name] in text


def test_find_says_when_nobody_answers(robo_rl, bus) -> None:
    for name in bus.description.names:
        bus.silence(name)
    code, text, _ = robo_rl("find", f"bus={bus.port}", "ids=1")
    assert code == 0 and "no answer" in text
    assert_mistake(robo_rl("find", "bus=/dev/ttyACM77"), ["/dev/ttyACM77: no such port"])


def test_a_key_stops_the_robot_and_other_keys_do_not() -> None:
    master, slave = os.openpty()
    keys, said = Keys(slave), []
    rig = DeviceRig([ServoArm(tiny_arm())])
    watch_stop_key(RigEnv(rig, IdleTask()), said.append, keys)
    assert said == ["space stops the robot"]
    rig.home(ONE, np.zeros(1, np.int64))
    os.write(master, b"xy")
    rig.read()
    assert rig.messages == [""]
    os.write(master, b" ")
    rig.read()
    assert rig.messages == ["tiny: somebody pressed space"]
    keys.close()
    for end in (master, slave):
        os.close(end)


def test_a_simulated_robot_has_no_key(robo_rl) -> None:
    class Simulated:
        """A rig that nobody watches."""

    said: list[str] = []
    env = RigEnv.__new__(RigEnv)
    env.rig = Simulated()
    watch_stop_key(env, said.append)
    assert said == []

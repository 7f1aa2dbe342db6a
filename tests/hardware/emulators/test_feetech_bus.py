"""The emulated bus as Feetech's SDK sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pytest
import scservo_sdk as sdk

from hardware import sts3215
from hardware.emulators.feetech_bus import FeetechBusEmulator
from hardware.emulators.feetech_protocol import FeetechWire
from hardware.emulators.feetech_servo import FeetechServo
from hardware.emulators.plant import SecondOrder
from hardware.feetech_bus import FeetechBus
from hardware.registers import decode, encode
from hardware.serial_port import ExclusivePort
from hardware.servo_errors import BusError, PortLost
from hardware.sts3215 import checksum
from tests.fakes import tiny_arm

ARM = tiny_arm()
PATIENCE = 0.2  # [s]; a busy machine answers late


@pytest.fixture
def emulator() -> Iterator[FeetechBusEmulator]:
    made = FeetechBusEmulator(ARM, priority=60)
    yield made
    made.close()


@pytest.fixture
def port(emulator: FeetechBusEmulator) -> Iterator[ExclusivePort]:
    opened = ExclusivePort(emulator.port, 1_000_000, PATIENCE)
    yield opened
    opened.closePort()


@pytest.fixture
def bus(port: ExclusivePort) -> FeetechBus:
    return FeetechBus(port)


@pytest.fixture
def packets(port: ExclusivePort) -> sdk.protocol_packet_handler:
    return sdk.PacketHandler(0)


def test_the_stock_sdk_talks_to_it_without_our_port(emulator: FeetechBusEmulator) -> None:
    port, packets = sdk.PortHandler(emulator.port), sdk.PacketHandler(0)
    assert port.openPort()

    def one_of_many(ask: Callable[[], tuple]) -> tuple:
        """The first answer in time. The SDK's patience is 34 ms, whatever else the machine does, and it would take an
        answer that comes later for that to its next request."""
        for _ in range(50):
            port.ser.reset_input_buffer()
            with suppress(IndexError):  # the SDK's own, when the second half of a ping is not answered in time
                if sdk.COMM_RX_TIMEOUT not in (found := ask()):
                    return found
            time.sleep(0.05)
        return ()

    assert one_of_many(lambda: packets.ping(port, 1)) == (777, sdk.COMM_SUCCESS, 0)
    assert one_of_many(lambda: packets.write2ByteTxRx(port, 2, 42, 1234)) == (sdk.COMM_SUCCESS, 0)
    assert one_of_many(lambda: packets.read2ByteTxRx(port, 2, 42)) == (1234, sdk.COMM_SUCCESS, 0)
    port.closePort()


def test_nobody_answers_for_a_servo_that_is_not_there(bus: FeetechBus) -> None:
    with pytest.raises(BusError, match="servo 9: no answer"):
        bus.ping(9)
    assert bus.counters.timeouts == 3 and bus.counters.failed == 1


def test_reads_and_writes_reach_one_servo(bus: FeetechBus) -> None:
    bus.write(1, sts3215.TORQUE_LIMIT, 500)
    assert bus.read(1, sts3215.TORQUE_LIMIT) == 500
    assert bus.read(2, sts3215.TORQUE_LIMIT) == 1000


def test_one_request_reads_and_writes_all_servos(bus: FeetechBus, emulator: FeetechBusEmulator) -> None:
    bus.write_all((2, 1), sts3215.GOAL_POSITION, (2000, 2100))
    data, errors = bus.read_all((2, 1), sts3215.GOAL_POSITION.address, 2)
    assert [decode(row, sts3215.GOAL_POSITION) for row in data] == [2000, 2100] and errors == [0, 0]
    assert emulator.observed[-1].goals.tolist() == [2100, 2000]


def test_a_registered_write_waits_for_the_action(packets, port: ExclusivePort, bus: FeetechBus) -> None:
    assert packets.regWriteTxRx(port, 1, 48, 2, [100, 0]) == (sdk.COMM_SUCCESS, 0)
    assert bus.read(1, sts3215.TORQUE_LIMIT) == 1000
    packets.action(port, sdk.BROADCAST_ID)
    assert bus.read(1, sts3215.TORQUE_LIMIT) == 100


def test_what_is_measured_cannot_be_written(bus: FeetechBus) -> None:
    for register in (sts3215.MODEL_NUMBER, sts3215.PRESENT_TEMPERATURE):
        before = bus.read(1, register)
        bus.write(1, register, 99)
        assert bus.read(1, register) == before


def test_eeprom_forgets_what_was_written_under_the_lock(bus: FeetechBus, emulator: FeetechBusEmulator) -> None:
    bus.write(1, sts3215.P_GAIN, 11)
    assert bus.read(1, sts3215.P_GAIN) == 11
    emulator.servo("shoulder").power_cycle()
    assert bus.read(1, sts3215.P_GAIN) == 32
    bus.write(1, sts3215.LOCK, 0)
    bus.write(1, sts3215.P_GAIN, 12)
    emulator.servo("shoulder").power_cycle()
    assert bus.read(1, sts3215.P_GAIN) == 12


def test_the_homing_offset_moves_what_is_shown(bus: FeetechBus, emulator: FeetechBusEmulator) -> None:
    shown, offset = (bus.read(1, register) for register in (sts3215.PRESENT_POSITION, sts3215.HOMING_OFFSET))
    bus.write(1, sts3215.HOMING_OFFSET, offset - 40)
    assert bus.read(1, sts3215.PRESENT_POSITION) == shown + 40


def test_a_limp_joint_stays_and_one_with_torque_goes_to_its_goal(bus: FeetechBus) -> None:
    at = bus.read(1, sts3215.PRESENT_POSITION)
    bus.write(1, sts3215.GOAL_POSITION, at - 200)
    time.sleep(0.02)
    assert bus.read(1, sts3215.PRESENT_POSITION) == at
    bus.write(1, sts3215.TORQUE_ENABLE, 1)
    seen = [at]
    while seen[-1] != at - 200 and len(seen) < 2000:
        seen.append(bus.read(1, sts3215.PRESENT_POSITION))
    assert seen[-1] == at - 200 and seen == sorted(seen, reverse=True)


def test_an_answer_is_never_sooner_than_its_bytes(emulator: FeetechBusEmulator) -> None:
    emulator._byte = 10 / 9600  # a ping: 2 requests of 6 and 8 bytes, replies of 6 and 8
    bus = FeetechBus(ExclusivePort(emulator.port, 1_000_000, 1.0))
    before = time.monotonic()
    bus.ping(1)
    assert time.monotonic() - before >= 28 * 10 / 9600
    bus.close()


@pytest.mark.parametrize("what", ["lost", "corrupted", "duplicated", "late"])
def test_readings_are_right_whatever_happens_to_packets(what: str, emulator: FeetechBusEmulator) -> None:
    bus = FeetechBus(ExclusivePort(emulator.port, 1_000_000, 0.01), attempts=40)
    setattr(emulator.faults, what, 0.2)
    found = {tuple(bus.read_all((1, 2), sts3215.HOMING_OFFSET.address, 2)[0][1]) for _ in range(60)}
    assert found == {tuple(encode(-600, sts3215.HOMING_OFFSET))}
    assert emulator.faults.happened > 0 and bus.counters.failed == 0
    assert bus.counters.retried > 0 or what in ("duplicated", "late")
    bus.close()


def test_a_pulled_cable_is_told_apart_from_a_lost_answer(bus: FeetechBus, emulator: FeetechBusEmulator) -> None:
    emulator.unplug()
    for _ in range(2):
        with pytest.raises(PortLost):
            bus.read_all((1, 2), 56, 4)
    with pytest.raises(PortLost):
        bus.write_all((1, 2), sts3215.GOAL_POSITION, (1, 2))
    bus.close()
    emulator.close()


def test_a_parser_finds_packets_in_noise() -> None:
    body = bytes([1, 4, 2, 56, 4])
    good = b"\xff\xff" + body + bytes([checksum(body)])
    bad = good[:-1] + b"\x00"
    parser = FeetechWire()
    noisy = b"\x07\xff" + bad + b"\xff" + good + good[:3]
    found = [packet for byte in noisy for packet in parser.feed(bytes([byte]))]
    assert [(packet.id, packet.instruction, packet.parameters) for packet in found] == [(1, 2, b"8\x04")]
    assert len(list(parser.feed(good[3:]))) == 1


def test_a_servo_that_is_too_hot_lets_go() -> None:
    servo = FeetechServo(1)
    servo.write(sts3215.TORQUE_ENABLE.address, b"\x01")
    assert servo.torque == 1.0
    servo.temperature = 71.0
    assert servo.error == 4 and servo.torque == 0.0
    servo.temperature, servo.voltage = 30.0, 3.0
    assert servo.error == 1 and servo.torque == 1.0


def test_the_built_in_joints_follow_a_step() -> None:
    plant, goal = SecondOrder([0.0, 0.0], bandwidth=30.0), np.array([1.0, 1.0])
    half = plant.advance(goal, np.array([1.0, 0.0]), 0.1)
    assert half.position[0] == pytest.approx(1 - (1 + 3) * np.exp(-3))  # critically damped, w t = 3
    assert half.position[1] == half.velocity[1] == half.load[1] == 0.0
    whole, parts = SecondOrder([0.0]), SecondOrder([0.0])
    once = whole.advance(goal[:1], np.ones(1), 0.2)
    for _ in range(4):
        last = parts.advance(goal[:1], np.ones(1), 0.05)
    assert np.allclose(once, last)

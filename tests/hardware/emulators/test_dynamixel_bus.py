"""The emulated bus as ROBOTIS' SDK sees it, and number formats and packets checked against the SDK's own functions."""

from __future__ import annotations

import time
from collections.abc import Iterator

import dynamixel_sdk as sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import dynamixel_x
from hardware.dynamixel_bus import DynamixelBus
from hardware.emulators.dynamixel_bus import DynamixelBusEmulator
from hardware.emulators.dynamixel_protocol import DynamixelWire
from hardware.emulators.dynamixel_servo import DynamixelServo
from hardware.registers import Register, decode, encode
from hardware.serial_port import ExclusivePort
from hardware.servo_errors import BusError, PortLost
from tests.fakes import tiny_arm

ARM = tiny_arm()
PATIENCE = 0.2  # [s]; a busy machine answers late
WORDS = [dynamixel_x.GOAL_CURRENT, dynamixel_x.PRESENT_CURRENT]
DOUBLE_WORDS = [dynamixel_x.HOMING_OFFSET, dynamixel_x.GOAL_POSITION, dynamixel_x.PRESENT_VELOCITY]


@pytest.fixture
def emulator() -> Iterator[DynamixelBusEmulator]:
    made = DynamixelBusEmulator(ARM, priority=60)
    yield made
    made.close()


@pytest.fixture
def bus(emulator: DynamixelBusEmulator) -> Iterator[DynamixelBus]:
    opened = DynamixelBus(ExclusivePort(emulator.port, 1_000_000, PATIENCE))
    yield opened
    opened.close()


@pytest.mark.parametrize("register", DOUBLE_WORDS)
@settings(deadline=None)
@given(st.integers(-(2**31), 2**31 - 1))
def test_double_words_are_those_of_the_sdk(register: Register, value: int) -> None:
    low, high = sdk.DXL_LOWORD(value), sdk.DXL_HIWORD(value)
    words = [sdk.DXL_LOBYTE(low), sdk.DXL_HIBYTE(low), sdk.DXL_LOBYTE(high), sdk.DXL_HIBYTE(high)]
    assert encode(value, register) == words
    assert decode(encode(value, register), register) == value
    assert sdk.DXL_MAKEDWORD(sdk.DXL_MAKEWORD(*words[:2]), sdk.DXL_MAKEWORD(*words[2:])) == value % 2**32


@pytest.mark.parametrize("register", WORDS)
@settings(deadline=None)
@given(st.integers(-(2**15), 2**15 - 1))
def test_words_are_those_of_the_sdk(register: Register, value: int) -> None:
    assert encode(value, register) == [sdk.DXL_LOBYTE(value), sdk.DXL_HIBYTE(value)]
    assert decode(encode(value, register), register) == value


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_the_checksum_is_the_sdks(data: bytes) -> None:
    assert dynamixel_x.checksum(data) == sdk.PacketHandler(2.0).updateCRC(0, data, len(data))


class Sink:
    """A port that keeps what is written."""

    is_using, written = False, b""

    def clearPort(self) -> None: ...

    def writePort(self, packet: list[int]) -> int:
        self.written += bytes(packet)
        return len(packet)


@settings(deadline=None)
@given(st.integers(0, 2**16 - 1))
def test_a_guardians_packet_is_the_sdks(value: int) -> None:
    """Servos 1 and 2: nothing is to be stuffed, which the Python SDK 4.1.0 would forget."""
    sink, register = Sink(), Register(116, 2)
    group = sdk.GroupSyncWrite(sink, sdk.PacketHandler(2.0), register.address, register.size)
    for servo in (1, 2):
        group.addParam(servo, encode(value, register))
    group.txPacket()
    assert dynamixel_x.sync_write((1, 2), register, value) == sink.written


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 7), st.binary(max_size=5))
def test_what_is_framed_is_found_among_noise(data: bytes, error: int, noise: bytes) -> None:
    body = bytes([3]) + data + dynamixel_x.HEADER
    wire = DynamixelWire()
    stream = noise.replace(b"\xff", b"") + dynamixel_x.framed(7, body)
    found = [packet for byte in stream for packet in wire.feed(bytes([byte]))]
    assert [(packet.id, packet.instruction, packet.parameters) for packet in found] == [(7, 3, body[1:])]


def test_a_broken_packet_is_skipped() -> None:
    good = dynamixel_x.framed(1, bytes([1]))
    bad = good[:-1] + bytes([good[-1] ^ 1])
    assert len(list(DynamixelWire().feed(bad + good))) == 1


def test_the_stock_sdk_talks_to_it_without_our_port(emulator: DynamixelBusEmulator) -> None:
    port, packets = sdk.PortHandler(emulator.port), sdk.PacketHandler(2.0)
    assert port.openPort()
    for _ in range(50):  # the SDK's patience is 34 ms, whatever else the machine does
        model, result, error = packets.ping(port, 1)
        if result == sdk.COMM_SUCCESS:
            break
        time.sleep(0.05)
    assert (model, error) == (1060, 0)
    port.closePort()


def test_reads_and_writes_reach_one_servo(bus: DynamixelBus) -> None:
    bus.write(1, dynamixel_x.GOAL_POSITION, -5)
    assert bus.read(1, dynamixel_x.GOAL_POSITION) == -5
    assert bus.read(2, dynamixel_x.GOAL_POSITION) != -5


def test_one_request_reads_and_writes_all_servos(bus: DynamixelBus, emulator: DynamixelBusEmulator) -> None:
    bus.write_all((2, 1), dynamixel_x.GOAL_POSITION, (2000, -70))
    data, errors = bus.read_all((2, 1), dynamixel_x.GOAL_POSITION.address, 4)
    assert [decode(row, dynamixel_x.GOAL_POSITION) for row in data] == [2000, -70] and errors == [0, 0]
    assert emulator.observed[-1].goals.tolist() == [-70, 2000]


def test_what_a_servo_refuses_is_said(bus: DynamixelBus) -> None:
    with pytest.raises(BusError, match="servo 1: refused 1 in register 132: read-only now"):
        bus.write(1, dynamixel_x.PRESENT_POSITION, 1)
    bus.write(1, dynamixel_x.TORQUE_ENABLE, 1)
    with pytest.raises(BusError, match="servo 1: refused 4 in register 11: read-only now"):
        bus.write(1, dynamixel_x.OPERATING_MODE, 4)


def test_a_reboot_forgets_hardware_errors(bus: DynamixelBus, emulator: DynamixelBusEmulator) -> None:
    emulator.servo("shoulder").forced = 32
    assert bus.read(1, dynamixel_x.HARDWARE_ERROR) == 32
    emulator.servo("shoulder").forced = 0
    with pytest.raises(BusError, match="it failed"):
        bus.write(1, dynamixel_x.TORQUE_ENABLE, 1)
    bus.reboot(1)
    assert bus.read(1, dynamixel_x.HARDWARE_ERROR) == 0
    bus.write(1, dynamixel_x.TORQUE_ENABLE, 1)


def test_nobody_answers_for_a_servo_that_is_not_there(bus: DynamixelBus) -> None:
    with pytest.raises(BusError, match="servo 9: no answer"):
        bus.ping(9)


@pytest.mark.parametrize("what", ["lost", "corrupted", "duplicated", "late"])
def test_readings_are_right_whatever_happens_to_packets(what: str, emulator: DynamixelBusEmulator) -> None:
    bus = DynamixelBus(ExclusivePort(emulator.port, 1_000_000, 0.01), attempts=40)
    setattr(emulator.faults, what, 0.2)
    register = dynamixel_x.HOMING_OFFSET
    found = {tuple(bus.read_all((1, 2), register.address, register.size)[0][1]) for _ in range(60)}
    assert found == {tuple(encode(-600, register))}
    assert emulator.faults.happened > 0 and bus.counters.failed == 0
    bus.close()


def test_a_pulled_cable_is_told_apart_from_a_lost_answer(bus: DynamixelBus, emulator: DynamixelBusEmulator) -> None:
    emulator.unplug()
    with pytest.raises(PortLost):
        bus.ping(1)


def test_an_answer_is_never_sooner_than_its_bytes(emulator: DynamixelBusEmulator) -> None:
    emulator._byte = 10 / 9600  # a ping: a request of 10 bytes, a reply of 14
    bus = DynamixelBus(ExclusivePort(emulator.port, 1_000_000, 1.0))
    before = time.monotonic()
    bus.ping(1)
    assert time.monotonic() - before >= 24 * 10 / 9600
    bus.close()


def test_a_watchdog_trips_once_and_takes_no_goals() -> None:
    servo, now = DynamixelServo(1, 1060), time.monotonic()
    assert servo.write(98, bytes([5])) == 0
    servo.hear(now)
    servo.watch(now + 0.09)
    assert not servo.tripped
    servo.hear(now + 0.2)
    assert servo.tripped
    assert servo.write(116, bytes(4)) == 4 and servo.write(98, b"\xfe") == 4
    assert servo.write(98, b"\x00") == 0 and servo.write(116, bytes(4)) == 0

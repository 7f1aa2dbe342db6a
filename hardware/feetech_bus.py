"""Transactions with the servos of one Feetech bus: retried, counted, and with two ways to fail.

Importing this module needs the extra `so101`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import scservo_sdk as sdk

from hardware.feetech_port import LOST, ExclusivePort
from hardware.sts3215 import Register, decode, encode

T = TypeVar("T")
LITTLE_ENDIAN = 0  # the STS series
UNHURRIED = 0.05  # [s] that an answer may take before the arm moves


class BusError(Exception):
    """A servo gave no good answer, although it was asked several times."""

    def __init__(self, servo: int, problem: str) -> None:
        super().__init__(f"servo {servo}: {problem}")
        self.servo = servo


class PortLost(Exception):
    """The port itself is gone."""


@dataclass
class BusCounters:
    """What happened on a bus so far."""

    transactions: int = 0  # that were asked for
    timeouts: int = 0  # attempts without an answer
    corrupted: int = 0  # attempts with a broken answer
    failed: int = 0  # transactions that no attempt could save

    @property
    def retried(self) -> int:
        """Attempts that were lost and made up for, or not."""
        return self.timeouts + self.corrupted


class FeetechBus:
    """Reads and writes registers through the SDK's packet handler.

    Every method raises `BusError` after `attempts` bad attempts, and `PortLost` when the port is gone.
    """

    def __init__(self, port: ExclusivePort, attempts: int = 3) -> None:
        self.counters = BusCounters()
        self._port, self._attempts = port, attempts
        self._packets = sdk.PacketHandler(LITTLE_ENDIAN)
        self._groups: dict[Any, Any] = {}

    @property
    def number(self) -> int:
        """File descriptor of the port."""
        return self._port.ser.fileno()

    def ping(self, servo: int) -> int:
        """The servo's model number."""

        def ask() -> tuple[int, int, int]:
            model, result, _ = self._packets.ping(self._port, servo)
            return model, result, servo

        return self._try(ask)

    def read(self, servo: int, register: Register) -> int:
        def ask() -> tuple[list[int], int, int]:
            data, result, _ = self._packets.readTxRx(self._port, servo, register.address, register.size)
            return data, _whole(data, register.size, result), servo

        return decode(self._try(ask), register)

    def write(self, servo: int, register: Register, value: int) -> None:
        """Write one register; the servo's reply says that it arrived."""
        data = encode(value, register)

        def ask() -> tuple[None, int, int]:
            result, _ = self._packets.writeTxRx(self._port, servo, register.address, len(data), data)
            return None, result, servo

        self._try(ask)

    def read_all(self, servos: Sequence[int], address: int, size: int) -> tuple[list[list[int]], list[int]]:
        """`size` bytes from `address` on and the error byte of every servo, in one request."""
        group = self._group(sdk.GroupSyncRead, servos, address, size)

        def ask() -> tuple[tuple[list[list[int]], list[int]], int, int]:
            found, errors = [], []
            result, servo = group.txPacket(), servos[0]
            for servo in servos if result == sdk.COMM_SUCCESS else ():
                data, result, error = self._packets.readRx(self._port, servo, size)
                result = _whole(data, size, result)
                if result != sdk.COMM_SUCCESS:
                    break
                found.append(data)
                errors.append(error)
            return (found, errors), result, servo

        return self._try(ask)

    def write_all(self, servos: Sequence[int], register: Register, values: Sequence[int]) -> None:
        """Write one register of every servo in one packet. Nobody answers it: the next reading tells."""
        group = self._group(sdk.GroupSyncWrite, servos, register.address, register.size)
        for servo, value in zip(servos, values, strict=True):
            data = encode(value, register)
            if not group.changeParam(servo, data):
                group.addParam(servo, data)

        def send() -> tuple[None, int, int]:
            return None, group.txPacket(), servos[0]

        self._try(send)

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Wait longer for answers while nothing depends on the time they take."""
        usual = self._port.patience
        self._port.patience = max(usual, UNHURRIED)
        try:
            yield
        finally:
            self._port.patience = usual

    def close(self) -> None:
        self._port.closePort()

    def _group(self, kind: Any, servos: Sequence[int], address: int, size: int) -> Any:
        key = (kind, tuple(servos), address, size)
        if key not in self._groups:
            self._groups[key] = kind(self._port, self._packets, address, size)
            if kind is sdk.GroupSyncRead:
                for servo in servos:
                    self._groups[key].addParam(servo)
        return self._groups[key]

    def _try(self, ask: Callable[[], tuple[T, int, int]]) -> T:
        """The value of the first good attempt; `ask` returns value, SDK result and the servo it is about."""
        self.counters.transactions += 1
        result, servo = sdk.COMM_SUCCESS, 0
        for _ in range(self._attempts):
            self._port.is_using = False  # the SDK forgets this after an exception
            try:
                value, result, servo = ask()
            except LOST as error:
                self.counters.failed += 1
                raise PortLost(str(error) or type(error).__name__) from error
            if result == sdk.COMM_SUCCESS:
                return value
            self.counters.timeouts += result == sdk.COMM_RX_TIMEOUT
            self.counters.corrupted += result != sdk.COMM_RX_TIMEOUT
        self.counters.failed += 1
        raise BusError(servo, "no answer" if result == sdk.COMM_RX_TIMEOUT else "only broken answers")


def _whole(data: Sequence[int], size: int, result: int) -> int:
    """A good checksum on a reply to another request is no answer to this one."""
    return sdk.COMM_RX_CORRUPT if result == sdk.COMM_SUCCESS and len(data) != size else result

"""Transactions with the servos of one bus: retried, counted, and with two ways to fail.

Importing this module needs pyserial, which every servo maker's SDK brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from hardware.registers import Register, decode, encode
from hardware.serial_port import LOST, ExclusivePort
from hardware.servo_errors import BusCounters, BusError, PortLost

T = TypeVar("T")
UNHURRIED = 0.05  # [s] that an answer may take before the arm moves


class ServoBus:
    """Reads and writes registers through an SDK's packet handler. Feetech's and ROBOTIS' SDKs have the same functions.

    Every method raises `BusError` after `attempts` bad attempts, and `PortLost` when the port is gone.

    Args:
        port: open.
        sdk: module of the SDK.
        packets: its packet handler.
        attempts: requests until an answer counts as lost.
    """

    def __init__(self, port: ExclusivePort, sdk: Any, packets: Any, attempts: int = 3) -> None:
        self.counters = BusCounters()
        self._port, self._sdk, self._packets, self._attempts = port, sdk, packets, attempts
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
            return data, self._whole(data, register.size, result), servo

        return decode(self._try(ask), register)

    def write(self, servo: int, register: Register, value: int) -> None:
        """Write one register; the servo's reply says that it arrived, and a refusal is a `BusError`."""
        data = encode(value, register)

        def ask() -> tuple[int, int, int]:
            result, error = self._packets.writeTxRx(self._port, servo, register.address, len(data), data)
            return error, result, servo

        refusal = self._refusal(self._try(ask))
        if refusal:
            raise BusError(servo, f"refused {value} in register {register.address}: {refusal}")

    def read_all(self, servos: Sequence[int], address: int, size: int) -> tuple[list[list[int]], list[int]]:
        """`size` bytes from `address` on and the error byte of every servo, in one request."""
        group = self._group(self._sdk.GroupSyncRead, servos, address, size)

        def ask() -> tuple[tuple[list[list[int]], list[int]], int, int]:
            found, errors = [], []
            result, servo = group.txPacket(), servos[0]
            for servo in servos if result == self._sdk.COMM_SUCCESS else ():
                data, result, error = self._packets.readRx(self._port, servo, size)
                result = self._whole(data, size, result)
                if result != self._sdk.COMM_SUCCESS:
                    break
                found.append(data)
                errors.append(error)
            return (found, errors), result, servo

        return self._try(ask)

    def write_all(self, servos: Sequence[int], register: Register, values: Sequence[int]) -> None:
        """Write one register of every servo in one packet. Nobody answers it: the next reading tells."""
        group = self._group(self._sdk.GroupSyncWrite, servos, register.address, register.size)
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

    def _refusal(self, error: int) -> str:
        """What the error byte of a reply to a write says against it, "" where nothing."""
        return ""

    def _group(self, kind: Any, servos: Sequence[int], address: int, size: int) -> Any:
        key = (kind, tuple(servos), address, size)
        if key not in self._groups:
            self._groups[key] = kind(self._port, self._packets, address, size)
            if kind is self._sdk.GroupSyncRead:
                for servo in servos:
                    self._groups[key].addParam(servo)
        return self._groups[key]

    def _try(self, ask: Callable[[], tuple[T, int, int]]) -> T:
        """The value of the first good attempt; `ask` returns value, SDK result and the servo it is about."""
        sdk = self._sdk
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

    def _whole(self, data: Sequence[int], size: int, result: int) -> int:
        """A good checksum on a reply to another request is no answer to this one."""
        sdk = self._sdk
        return sdk.COMM_RX_CORRUPT if result == sdk.COMM_SUCCESS and len(data) != size else result

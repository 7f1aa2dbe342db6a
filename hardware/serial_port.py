"""The serial port under a servo maker's SDK: opened for one program alone, never blocking for long.

Importing this module needs pyserial, which every such SDK brings.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import termios
import time
from collections.abc import Sequence
from contextlib import suppress

import serial

from robo_rl.errors import UserError

POLL = 0.001  # [s] that one read waits for bytes
BABBLE = 0.2  # [s] of bytes without a reply in them
WRITE_TIMEOUT = 0.5  # [s] after which a port that takes no bytes counts as lost
LOST = (OSError, termios.error)  # what a port raises when its cable is pulled; SerialException is an OSError
RATES = (9600, 57600, 115200, 500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000)  # [baud]


class ExclusivePort:
    """A port that no other program may open, with the methods that Feetech's and ROBOTIS' packet handlers call.

    It takes the place of the SDKs' own `PortHandler`, from which it differs in four points: it locks the device; it
    throws away stale input before every request (Feetech's waits for output instead, so that a late reply answers the
    next request); it sleeps while it waits; and a reply is overdue after `patience` plus its time on the wire, by a
    monotonic clock, not after 34 ms, and only if it is not there.

    Args:
        name: device, e.g. /dev/ttyACM0.
        baudrate: [baud].
        patience: [s] that a reply may take beyond its bytes.
    """

    def __init__(self, name: str, baudrate: int, patience: float) -> None:
        if baudrate not in RATES:
            raise UserError(f"robot.rig.arm.baudrate={baudrate}: valid are {', '.join(map(str, RATES))}")
        self.patience, self.baudrate = patience, baudrate
        self.ser = open_exclusive(name, baudrate)
        self.is_open, self.is_using = True, False
        self._byte = 10_000.0 / baudrate  # [ms]
        self._since = self._timeout = 0.0  # [ms]

    def closePort(self) -> None:
        """Unlock and close; a port that is gone already is no error."""
        if self.is_open:
            self.is_open = False
            with suppress(*LOST):
                fcntl.ioctl(self.ser.fileno(), termios.TIOCNXCL)
            with suppress(*LOST):
                self.ser.close()

    def clearPort(self) -> None:
        self.ser.reset_input_buffer()

    def readPort(self, length: int) -> bytes:
        return self.ser.read(length)

    def writePort(self, packet: Sequence[int]) -> int | None:
        return self.ser.write(bytes(packet))

    def getBaudRate(self) -> int:
        return self.baudrate

    def setPacketTimeout(self, packet_length: int) -> None:
        self.setPacketTimeoutMillis(self._byte * packet_length + self.patience * 1000.0)

    def setPacketTimeoutMillis(self, msec: float) -> None:
        self._since, self._timeout = _now(), msec

    def isPacketTimeout(self) -> bool:
        """Whether the reply is overdue. One that has arrived is not, however late this process looks."""
        waited = _now() - self._since
        return waited > self._timeout and (not self.ser.in_waiting or waited > BABBLE * 1000.0)


def _now() -> float:
    """[ms]; a wall clock may be set back in the middle of a time-out."""
    return time.monotonic() * 1000.0


def open_exclusive(name: str, baudrate: int) -> serial.Serial:
    """Open and lock a port. Raises `UserError` that says what to do when that fails."""
    try:
        port = serial.Serial(name, baudrate, timeout=POLL, write_timeout=WRITE_TIMEOUT, exclusive=True)
        fcntl.ioctl(port.fileno(), termios.TIOCEXCL)  # flock binds only programs that ask; this one binds all
    except LOST as error:
        raise UserError(f"robot.bus={name}: {_advice(name, error)}") from error
    port.reset_input_buffer()
    return port


def _advice(name: str, error: Exception) -> str:
    if not os.path.exists(name):
        return "no such port; is the cable in? robo-rl doctor lists the serial ports"
    code = getattr(error, "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        return f"no permission; run: sudo usermod -aG {_group(name)} $USER, then log in again"
    if code in (errno.EBUSY, errno.EAGAIN):
        return "busy: another program has the port open; close it first"
    return f"cannot be opened: {error}"


def _group(name: str) -> str:
    gid = os.stat(name).st_gid
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

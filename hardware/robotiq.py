"""A Robotiq 2F gripper behind its URCap's socket on a UR controller: lines of text, a few milliseconds an answer.

A thread of its own talks to it, so that the arm's stream does not wait.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from robo_rl.errors import UserError

PORT = 63352
CLOSED = 255  # position of the drive; 0 is open
SETTINGS = b"SET SPE 255\n", b"SET FOR 50\n", b"SET GTO 1\n"  # of 255: full speed, a fifth of the force, go
ACTIVE = "STA 3"
PAUSE = 0.02  # [s] between two exchanges
PATIENCE = 0.5  # [s] for an answer


class RobotiqGripper:
    """A gripper whose drive turns from `low` (closed) to `high` (open) [rad].

    Attributes:
        angle: of the drive, as measured last [rad].
        problem: why nobody talks to it any more, "" while all is well.
    """

    def __init__(self, address: str, low: float, high: float) -> None:
        self.angle, self.problem = high, ""
        self._low, self._high, self._address = low, high, address
        self._wanted = self._sent = -1  # position of the drive
        self._over = threading.Event()
        try:
            self._link = socket.create_connection((address, PORT), PATIENCE)
        except OSError as error:
            raise UserError(
                f"robot.bus={address}: no gripper on port {PORT} ({error}); install Robotiq's URCap, or check its cable"
            ) from error
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread = threading.Thread(target=self._serve, name="gripper", daemon=True)

    def start(self) -> None:
        """Read where it is, and keep reading. Raises `UserError` when it is not activated, which would move it."""
        try:
            state = self._ask(b"GET STA\n")
            self._measure()
        except OSError as error:
            raise UserError(f"robot.bus={self._address}: the gripper does not answer: {error}") from error
        if state != ACTIVE:
            raise UserError(
                f"robot.bus={self._address}: the gripper says {state}, not {ACTIVE}: activate it at the teach pendant, "
                "which opens and closes it once"
            )
        self._thread.start()

    def want(self, angle: float) -> None:
        """Send the drive to an angle [rad], soon."""
        share = (angle - self._low) / (self._high - self._low)
        self._wanted = min(CLOSED, max(0, round(CLOSED * (1 - share))))

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(2 * PATIENCE)
        self._link.close()

    def _serve(self) -> None:
        try:
            for line in SETTINGS:
                self._ask(line)
            while not self._over.wait(PAUSE):
                if self._wanted not in (self._sent, -1):
                    self._sent = self._wanted
                    self._ask(b"SET POS %d\n" % self._sent)
                self._measure()
        except (OSError, ValueError) as error:
            if not self._over.is_set():
                self.problem = str(error) or type(error).__name__
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def _measure(self) -> None:
        share = 1 - int(self._ask(b"GET POS\n").removeprefix("POS ")) / CLOSED
        self.angle = self._low + share * (self._high - self._low)

    def _ask(self, line: bytes) -> str:
        self._link.sendall(line)
        answer = self._link.recv(64)
        if not answer:
            raise OSError("it hung up")
        return answer.decode(errors="replace").strip()

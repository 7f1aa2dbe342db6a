"""The wires to a Go2: finding it, and refusing one that somebody else commands."""

from __future__ import annotations

import time

import numpy as np

from hardware.go2_dds import COMMANDS, OTHERS, STATES, WAITING, Node
from hardware.go2_messages import LowCmd, LowState
from hardware.go2_packets import STATE
from hardware.go2_service import active_service
from robo_rl.errors import UserError

QUEUE = 16  # states that wait at most
LOOK = 0.01  # [s] between two looks for the first state
DISCOVERY = 0.5  # [s] in which other publishers are found


class Link:
    """Topics of the low level on a network interface. Opening says nothing to the robot."""

    def __init__(self, interface: str, domain: int, priority: int) -> None:
        self._interface, self._domain = interface, domain
        self._node = Node(interface, domain, priority)
        self._states = self._node.reader(STATES, LowState, WAITING)
        self._others = self._node.reader(COMMANDS, LowCmd, OTHERS)
        self._commands = self._node.writer(COMMANDS, LowCmd)

    def find(self, patience: float) -> np.ndarray:
        """The robot's state (), once it has one to give and nobody commands it. A driver that was killed counts until
        its lease has run out.

        Raises:
            UserError: it is not found in `patience` [s], or somebody else commands it.
        """
        begin = time.monotonic()
        state = self._first_state(patience)
        self._require_released(patience)
        time.sleep(max(0.0, begin + DISCOVERY - time.monotonic()))
        while (rivals := self.rivals()) and time.monotonic() - begin < patience:
            time.sleep(LOOK)
        if rivals:
            raise UserError(
                f"robot.bus={self._interface}: {rivals} other publisher{'s' * (rivals > 1)} of rt/lowcmd; end the "
                f"program that commands the robot, then try again"
            )
        return state

    def states(self) -> list[bytes]:
        """Packets since the last call, the oldest first."""
        return self._states.take(QUEUE)

    def tell(self, packet: bytes) -> bool:
        """Send a command; whether it was sent."""
        return self._commands.write(packet)

    def rivals(self) -> int:
        """How many others publish commands."""
        return self._others.writers

    def close(self) -> None:
        self._node.close()

    def _first_state(self, patience: float) -> np.ndarray:
        end, seen = time.monotonic() + patience, 0
        while time.monotonic() < end:
            for packet in self.states():
                seen += 1
                if (state := STATE.opened(packet)) is not None:
                    return state
            time.sleep(LOOK)
        what = f"{seen} packets of rt/lowstate came, none with a correct checksum" if seen else "no rt/lowstate came"
        raise UserError(
            f"robot.bus={self._interface}: {what} within {patience:g} s in domain {self._domain}; is the robot on, and "
            f"is this the interface that its cable is in?"
        )

    def _require_released(self, patience: float) -> None:
        service = active_service(self._node, patience)
        if service is None:
            raise UserError(
                f"robot.bus={self._interface}: the robot's motion switcher did not answer within {patience:g} s, so "
                f"nobody knows whether its sport service moves the legs; restart the robot"
            )
        if service:
            raise UserError(
                f"robot.bus={self._interface}: the robot's own service {service} moves its legs; lay the robot down "
                f"and release the service, see docs/hardware.md"
            )

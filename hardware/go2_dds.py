"""Cyclone DDS as the Go2's low level needs it: raw packets in and out, and who else publishes."""

from __future__ import annotations

from typing import Any

from cyclonedds._clayer import ddspy_take, ddspy_write
from cyclonedds.core import DDSException, InstanceState, SampleState, ViewState
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from hardware import realtime
from robo_rl.errors import UserError

COMMANDS, STATES = "rt/lowcmd", "rt/lowstate"
LOOPBACK = "lo"
THREADS = ("recv", "recvUC", "recvMC", "tev", "dq.builtins", "dq.user")
LEASE = "2s"  # after which a process that was killed is no publisher any more
PEERS = 32  # participants on one machine that are looked for
_ANY = SampleState.Any | ViewState.Any | InstanceState.Any
# A reliable writer suits a reader of either kind; it keeps one packet and waits for nobody.
WRITER = Qos(Policy.Reliability.Reliable(duration(milliseconds=1)), Policy.History.KeepLast(1))
READER = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(1))
WAITING = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(16))
OTHERS = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(1), Policy.IgnoreLocal.Participant)


def configuration(interface: str, priority: int) -> str:
    """Cyclone's configuration for a network interface, and for SCHED_FIFO of its threads (0: ordinary ones).

    The loopback interface has no multicast: peers are asked."""
    general, peers = "", ""
    if interface == LOOPBACK:
        general = "<AllowMulticast>false</AllowMulticast>"
        peers = (
            f"<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>{PEERS}</MaxAutoParticipantIndex>"
            f'<Peers><Peer Address="127.0.0.1"/></Peers>'
        )
    discovery = f"<Discovery><LeaseDuration>{LEASE}</LeaseDuration>{peers}</Discovery>"
    kind = f"<Scheduling><Class>realtime</Class><Priority>{priority}</Priority></Scheduling>"
    threads = "".join(f'<Thread name="{name}">{kind}</Thread>' for name in THREADS) if priority else ""
    return (
        f'<CycloneDDS><Domain Id="any"><General><Interfaces><NetworkInterface name="{interface}"/></Interfaces>'
        f"{general}</General>{discovery}<Threads>{threads}</Threads></Domain></CycloneDDS>"
    )


class Guest:
    """A participant of a domain that this process has joined."""

    def __init__(self, domain: int) -> None:
        self.participant, self._number = DomainParticipant(domain), domain

    def writer(self, topic: str, kind: Any) -> RawWriter:
        return RawWriter(DataWriter(self.participant, Topic(self.participant, topic, kind), WRITER))

    def reader(self, topic: str, kind: Any, qos: Qos = READER) -> RawReader:
        return RawReader(DataReader(self.participant, Topic(self.participant, topic, kind), qos))

    def guest(self) -> Guest:
        """Another participant, whom the first takes for somebody else."""
        return Guest(self._number)

    def close(self) -> None:
        """Leave, at once; readers and writers are of no use any more."""
        self.participant.__del__()


class Node(Guest):
    """This process in a DDS domain, which it may join once at a time.

    Args:
        interface: of the network.
        domain: number of the domain; the robot's is 0.
        priority: of SCHED_FIFO for the threads that carry packets, where it is granted: above the loop's that waits for
            them.

    Raises:
        UserError: there is no such interface, or it has no address.
    """

    def __init__(self, interface: str, domain: int, priority: int = 0) -> None:
        try:
            self._domain = Domain(domain, configuration(interface, priority if realtime.grants(priority) else 0))
            super().__init__(domain)
        except DDSException as error:
            raise UserError(
                f"robot.bus={interface}: DDS does not start on this network interface; give the one that the robot's "
                f"cable is in (ip address lists them; its address has to be 192.168.123.x)"
            ) from error

    def close(self) -> None:
        super().close()
        self._domain.__del__()


class RawWriter:
    """Sends packets that are serialised already."""

    def __init__(self, writer: DataWriter) -> None:
        self._writer, self._number = writer, writer._ref

    def write(self, packet: bytes) -> bool:
        """Whether it was sent."""
        return ddspy_write(self._number, packet) >= 0

    @property
    def readers(self) -> int:
        """How many read what is written here."""
        return len(self._writer.get_matched_subscriptions())


class RawReader:
    """Takes packets as they are."""

    def __init__(self, reader: DataReader) -> None:
        self._reader, self._number = reader, reader._ref

    def take(self, most: int = 1) -> list[bytes]:
        """Packets that have come since the last call, the oldest first."""
        found = ddspy_take(self._number, _ANY, most)
        if isinstance(found, int):
            raise DDSException(found, "while taking packets")
        return [data for data, info in found if info.valid_data]

    @property
    def writers(self) -> int:
        """How many write what is read here; with `OTHERS`, those of other participants."""
        return len(self._reader.get_matched_publications())

"""The Unitree Go2 at its low level: twelve motors with a PD loop each, an IMU and foot forces, over DDS."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hardware.device import ONE, Device
from hardware.go2_packets import COMMAND, POSITION_STOP, STATE, first_command, require_dds
from hardware.guard import Guard
from hardware.ramp import Ramp
from hardware.servo_health import ServoHealth, ServoLimits, ServoState
from robo_rl.errors import UserError
from robo_rl.legged import foot_force_spec, imu_spec, without_heading
from robo_rl.ranges import NOT_NEGATIVE, POSITIVE, PRIORITY, SHARE_ABOVE_0
from robo_rl.robot import RobotDescription

if TYPE_CHECKING:
    from hardware.go2_link import Link

DAMPING = (3.0, 8.0)  # [N.m.s/rad] in which the motors' damping is neither too weak nor trembles
HEALTHY = ServoLimits(max_temperature=85.0, min_voltage=24.0, max_current=None, stuck_error=0.5)
LOOK = 0.1  # [s] from one look for other publishers to the next
STATE_PERIOD = 2  # [ms] of the robot's `tick` from one state to the next


class Go2(Device):
    """A Go2 whose own sport service was released (extra `go2`).

    Life cycle: `connect` listens, and refuses a robot that somebody else commands, but says nothing; from the first
    `home` on a command leaves in every cycle, at first the measured pose; a fault, `stop` and `close` bring the damping
    state (no position gain, no torque), which is sent in every cycle, too, and for `farewell` seconds after `close`.

    Setpoints are the motors' position targets with the description's gains. A target that would ask a motor for more
    than its `max_torque` is moved towards the joint until it does not.

    A state that does not come is replaced by the last one, with its old stamp, for at most `max_silence`.

    Args:
        description: the robot.
        interface: of the network that it is in.
        domain: of DDS; the robot's is 0.
        guard: default a `Guard` of that description.
        limits: when its motors are not well.
        damping: of the damping state [N.m.s/rad], 3 to 8.
        max_silence: [s] without a state that latch a fault while the motors are on.
        farewell: [s] of damping at `close`: until the robot lies.
        foot_scale: [N] a count of the foot force sensors; measure it, Unitree states no unit.
        patience: [s] that the robot may take to be found.
        priority: of SCHED_FIFO for the threads that carry packets, where it is granted; above the driver's.
        home_speed: see `Device`; of standing up.
        stop_speed: the same of a robot that a policy has moved: legs that stop in the middle of a stride have to be
            back under the trunk before it tips over.
        tolerance, max_first: see `Device`.
    """

    part: ClassVar = "legs"

    def __init__(
        self,
        description: RobotDescription,
        interface: str,
        domain: int = 0,
        guard: Guard | None = None,
        limits: ServoLimits | None = None,
        damping: float = 5.0,
        max_silence: float = 0.05,
        farewell: float = 1.0,
        foot_scale: float = 1.0,
        patience: float = 5.0,
        priority: int = 55,
        home_speed: float = 0.1,
        stop_speed: float = 0.5,
        tolerance: float = 0.2,
        max_first: float | None = None,
    ) -> None:
        if not DAMPING[0] <= damping <= DAMPING[1]:
            raise UserError(f"robot.rig.legs.damping={damping}: valid are {DAMPING[0]:g} to {DAMPING[1]:g}")
        self.senses = imu_spec() | foot_force_spec(description.model["feet"])
        super().__init__(description, guard, home_speed, tolerance, max_first)
        self.check(SHARE_ABOVE_0, stop_speed=stop_speed)
        self.check(POSITIVE, max_silence=max_silence, foot_scale=foot_scale, patience=patience)
        self.check(NOT_NEGATIVE, farewell=farewell)
        self.check(PRIORITY, priority=priority)
        self.interface, self.domain = interface, domain
        self._patience, self._priority = patience, priority
        self._rise_speed, self._stop_speed = home_speed, stop_speed
        self.health = ServoHealth(description.names, limits or HEALTHY)
        self._damping, self._max_silence, self._farewell, self._foot_scale = damping, max_silence, farewell, foot_scale
        self._kp, self._kd = description.servo("kp"), description.servo("kd")
        self._low, self._high, self._most = (description.array(name) for name in ("low", "high", "max_torque"))
        self._joints = len(description.joints)
        self._link: Link | None = None
        self._command, self._told, self._streams = first_command(), False, False
        self._stamp = self._looked = float("-inf")
        self._state: np.ndarray | None = None
        self._counts: dict[str, int] = {"transactions": 0, "retried": 0, "failed": 0}

    def connect(self) -> None:
        if self._link is not None:
            return
        require_dds()
        from hardware.go2_link import Link

        self._prepare_ramp()

        link = Link(self.interface, self.domain, self._priority)
        try:
            self._state, self._stamp = link.find(self._patience), time.monotonic()
            self._require_power(self._state)
        except BaseException:
            link.close()
            raise
        self._link = link
        self._sense()

    def admit(self, action: np.ndarray) -> None:
        super().admit(action)
        self._home_speed = self._stop_speed

    def stop(self) -> None:
        """The damping state: every joint moves slowly, and the robot sinks to the floor."""
        motor = self._command["motor"][: self._joints]
        motor["kp"], motor["kd"], motor["q"], motor["dq"] = 0.0, self._damping, POSITION_STOP, 0.0
        if self._streams:
            self._tell()

    def close(self) -> None:
        if self._link is None:
            return
        if self._streams:
            self.stop()
            end = time.monotonic() + self._farewell
            while time.monotonic() < end:
                self._tell()
                time.sleep(self.guard.dt)
        self._link.close()
        self._link, self._streams, self.holding = None, False, False

    def clear(self) -> None:
        super().clear()
        self._streams = False

    def tally(self) -> Mapping[str, int]:
        """States that came, and those that were lost on the way."""
        return self._counts

    def _activate(self, position: np.ndarray) -> None:
        """Stream the measured pose. The tilt is judged first: a robot that lies on its side is not switched on."""
        self.health.restart()
        self._home_speed = self._rise_speed
        self._judge_balance()
        if np.isfinite(position).all() and not self.guard.faults.any():
            self._streams = True
            self._send(position)

    def _send(self, setpoint: np.ndarray) -> None:
        position, velocity, _ = self._joint_state()
        away = (self._most + np.array([[-1.0], [1.0]]) * self._kd * velocity) / self._kp
        target = np.clip(np.clip(setpoint, position - away[0], position + away[1]), self._low, self._high)
        motor = self._command["motor"][: self._joints]
        motor["q"], motor["dq"], motor["kp"], motor["kd"] = target, 0.0, self._kp, self._kd
        self._tell()

    def _measure(self) -> tuple[np.ndarray, np.ndarray, float]:
        """The newest state. A cycle that said nothing repeats what was said last: the robot waits for it."""
        if self._streams and not self._told:
            self._tell()
        self._told = False
        newer = [self._take(packet) for packet in self._connected.states()]
        if any(newer):
            self._sense()
        if self.holding:
            self._watch()
        return self._joint_state()

    def _joint_state(self) -> tuple[np.ndarray, np.ndarray, float]:
        assert self._state is not None
        motor = self._state["motor"][: self._joints]
        return motor["q"].astype(np.float64), motor["dq"].astype(np.float64), self._stamp

    def _take(self, packet: bytes) -> bool:
        """Whether the packet held a state that is newer than the last one."""
        state = STATE.opened(packet)
        if state is None:
            self._counts["failed"] += 1
            return False
        if self._state is not None:
            since = int(state["tick"]) - int(self._state["tick"])
            if since <= 0:  # it came twice, or was overtaken
                return False
            self._counts["failed"] += max(0, since // STATE_PERIOD - 1) if self._streams else 0
        self._counts["transactions"] += 1
        self._state, self._stamp = state, time.monotonic()
        return True

    def _sense(self) -> None:
        assert self._state is not None
        state, imu = self._state, self._state["imu"]
        quaternion = without_heading(imu["quaternion"][None].astype(np.float64))
        values = (quaternion, imu["gyroscope"][None], imu["accelerometer"][None], state["foot_force"][None])
        named = dict(zip(self.senses, values, strict=True))
        named["foot_force"] = np.maximum(named["foot_force"] * self._foot_scale, 0.0)
        self.sensed = self.senses.pack(named)[0]

    def _watch(self) -> None:
        """What may go wrong while the motors are on."""
        now = time.monotonic()
        position, velocity, stamp = self._joint_state()
        if now - stamp > self._max_silence:
            self._report(f"no state of the robot for {now - stamp:.3f} s, limit {self._max_silence:.3f} s")
        self._judge_balance()
        self._report(self.health.moving(position - self.guard.sent[0], velocity, stamp))
        if now - self._looked > LOOK:
            self._looked = now
            self._report(self.health.watch(self._motor_state()))
            if self._connected.rivals():
                self._report("another publisher of rt/lowcmd has appeared: two controllers on one robot")

    def _judge_balance(self) -> None:
        assert self._state is not None
        imu, stamp = self._state["imu"], np.array([self._stamp])
        seen = {"imu_quaternion": imu["quaternion"][None], "accelerometer": imu["accelerometer"][None]}
        self.guard.sense(seen, dict.fromkeys(seen, stamp))

    def _motor_state(self) -> ServoState:
        assert self._state is not None
        motor = self._state["motor"][: self._joints]
        voltage, nothing = np.full(self._joints, float(self._state["voltage"])), np.zeros(self._joints)
        return ServoState(motor["temperature"].astype(float), voltage, nothing, motor["tau"] / self._most)

    def _require_power(self, state: np.ndarray) -> None:
        voltage, least = float(state["voltage"]), self.health.limits.min_voltage
        if voltage < least:
            raise UserError(
                f"robot.bus={self.interface}: the battery has {voltage:.1f} V, limit {least:.1f}; charge it"
            )

    def _prepare_ramp(self) -> None:
        """Import what homing needs: a robot that stands on what it is told would have to wait for it."""
        Ramp(self.description, self._home_speed, self.guard.dt, self._home[0], np.zeros(self._joints), self._home[0])

    def _tell(self) -> None:
        self._told = True
        if not self._connected.tell(COMMAND.sealed(self._command)):
            self._counts["failed"] += 1

    def _report(self, problem: str) -> None:
        if problem:
            self.guard.fault(ONE, problem)

    @property
    def _connected(self) -> Link:
        if self._link is None:
            raise RuntimeError(f"robot {self.description.name} is not connected")
        return self._link

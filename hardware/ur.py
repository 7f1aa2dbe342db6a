"""Universal Robots e-Series arms on ur-rtde (extra `ur5e`): joints by servoJ, a Robotiq gripper beside them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from hardware.aside import Aside
from hardware.device import ONE, Device
from hardware.guard import Guard
from hardware.robotiq import RobotiqGripper
from robo_rl.errors import MissingExtra, UserError
from robo_rl.ranges import POSITIVE
from robo_rl.robot import RobotDescription

JOINTS = 6
SEEN = ("timestamp", "actual_q", "actual_qd", "safety_status_bits", "robot_mode",
        "joint_temperatures")  # fmt: skip
RUNNING = 7  # robot_mode: power on, brakes released
PROTECTIVE, NORMAL = "PROTECTIVE_STOP", "NORMAL"  # as the dashboard says it
MODES = {-1: "no controller", 0: "disconnected", 1: "confirm safety", 2: "booting", 3: "power off", 4: "power on",
         5: "idle", 6: "back-drive", 8: "updating"}  # fmt: skip
FASTEST = 500  # [Hz] of the controller's cycle
STOPPING = 5.0  # [rad/s2] of servoStop
TAKEN = "already in use"  # what the SDK says of the controller's inputs when another client writes them
RESTART = 2.0  # [s] for the script to run again after a stop
CLOSING = 2.0  # [s] that `close` waits for a call of the SDK that nobody waited for
LOOKAHEADS, GAINS = (0.03, 0.2), (100, 2000)  # that servoJ takes


class UrArm(Device):
    """An arm on a UR controller; a seventh joint is a Robotiq gripper's drive.

    Life cycle: `connect` uploads ur-rtde's script, which moves nothing; the first `home` arms the controller's watchdog
    and sends the measured position; `close` stops the arm and ends the script.

    The controller stops the arm by itself, and holds it, when it hears nothing for `watchdog` seconds: no guardian.

    Args:
        description: the arm.
        address: of the controller, name or IP address.
        guard: default a `Guard` of that description.
        watchdog: [s] of silence after which the controller stops the arm.
        lookahead: servoJ smooths targets over so long [s].
        gain: servoJ's proportional gain.
        max_temperature: of a joint [degrees C].
        max_age: [s] for which the controller may send nothing new.
        max_first: see `Device`.
    """

    def __init__(
        self,
        description: RobotDescription,
        address: str,
        guard: Guard | None = None,
        watchdog: float = 0.1,
        lookahead: float = 0.1,
        gain: float = 300,
        max_temperature: float = 70.0,
        max_age: float = 0.1,
        max_first: float | None = None,
    ) -> None:
        super().__init__(description, guard, max_first=max_first)
        self.check(POSITIVE, watchdog=watchdog, max_temperature=max_temperature, max_age=max_age)
        for name, value, (low, high) in (("lookahead", lookahead, LOOKAHEADS), ("gain", gain, GAINS)):
            if not low <= value <= high:
                raise UserError(f"robot.rig.arm.{name}={value}: valid are {low} to {high}")
        self.address, self._watchdog, self._max_age = address, watchdog, max_age
        self._lookahead, self._gain, self._limit = lookahead, gain, max_temperature
        self._control: Any = None
        self._receive: Any = None
        self._gripper: RobotiqGripper | None = None
        self._sent = False  # since the last reading: the watchdog has been kicked
        self._controllers_time, self._stamp = -1.0, float("-inf")  # [s] of the last reading, by both clocks
        self._aside = Aside()
        self._commands, self._ran = 0, float("-inf")  # [s] when the program was seen running

    def connect(self) -> None:
        if self._control is not None:
            return
        if self.guard.dt < 1 / FASTEST - 1e-9:
            raise UserError(
                f"robot.rig.driver.rate: servoJ would be sent {1 / self.guard.dt:.0f} times a second; the controller "
                f"takes up to {FASTEST}"
            )
        rtde_control, rtde_receive = _sdk()
        try:
            with self._told():
                self._receive = rtde_receive.RTDEReceiveInterface(self.address, -1.0, list(SEEN))
                self._require_ready()
                self._control = rtde_control.RTDEControlInterface(self.address)
            if len(self.description.joints) > JOINTS:
                drive = self.description.joints[JOINTS]
                self._gripper = RobotiqGripper(self.address, drive.low, drive.high)
                self._gripper.start()
        except BaseException:
            self._release()
            raise

    def stop(self) -> None:
        """Brake and hold where it is."""
        with suppress(RuntimeError):  # the link is down: the controller stops by itself
            if self._aside.busy:  # it is being switched on: nothing moves yet, and the SDK does one thing at a time
                return
            if self._answers and self._control.isProgramRunning():
                self._control.servoStop(STOPPING)

    def close(self) -> None:
        if self._control is None:
            return
        self.stop()
        control = self._control

        def end() -> None:
            with suppress(RuntimeError):
                if self._answers or self._control is not control:  # later than this waits: nobody waits for it
                    control.stopScript()

        self._aside.then(CLOSING, end)
        self._release()

    def recover(self) -> list[str]:
        """End a protective stop; an emergency stop is a person's to end."""
        _sdk()
        import dashboard_client

        with self._told():
            dashboard = dashboard_client.DashboardClient(self.address)
            dashboard.connect()
            status = dashboard.safetystatus()
            if PROTECTIVE in status:
                dashboard.closeSafetyPopup()
                dashboard.unlockProtectiveStop()
            after = dashboard.safetystatus()
            dashboard.disconnect()
        return [] if NORMAL in status else [f"{status}, now {after}"]

    def tally(self) -> Mapping[str, int]:
        return {"transactions": self._commands}

    def _activate(self, position: np.ndarray) -> Iterator[None]:
        with self._guarded():
            yield from self._restart()
            control = self._control
            if not (yield from self._aside(lambda: control.setWatchdog(1 / self._watchdog))):
                self._fault("the controller did not arm its watchdog: it would not stop by itself")
                return
            self._send(position.astype(np.float32))

    def _restart(self) -> Iterator[None]:
        """Let the script run again that a stop has ended."""
        if not self._control.isProgramRunning():
            yield from self._aside(self._control.reuploadScript)
        end = time.monotonic() + RESTART
        while not self._control.isProgramRunning() and time.monotonic() < end:
            yield
        self._ran = time.monotonic()

    def _send(self, setpoint: np.ndarray) -> None:
        target = setpoint.astype(np.float64)
        with self._guarded():
            self._control.servoJ(target[:JOINTS].tolist(), 0, 0, self.guard.dt, self._lookahead, self._gain)
            self._commands, self._sent = self._commands + 1, True
        if self._gripper is not None:
            self._gripper.want(target[JOINTS])

    def _measure(self) -> tuple[np.ndarray, np.ndarray, float]:
        receive, gripper = self._connected, self._gripper
        if (fresh := receive.getTimestamp()) != self._controllers_time:  # first: this process may have waited
            self._controllers_time, self._stamp = fresh, time.monotonic()
        with self._guarded():
            self._watch()
        position, velocity = receive.getActualQ(), receive.getActualQd()
        if gripper is not None:
            position, velocity = [*position, gripper.angle], [*velocity, 0.0]
        return np.array(position), np.array(velocity), self._stamp

    def _watch(self) -> None:
        """What the controller says of itself, and whether it says anything."""
        receive, control, now = self._connected, self._control, time.monotonic()
        if control is not None and control.isProgramRunning():
            self._ran = now
            if self.holding and not self._sent and not self.guard.faults.any():
                control.kickWatchdog()
        self._sent = False
        age, ended = now - self._stamp, now - self._ran > self._max_age  # until then, the other link may say why
        hottest = max(receive.getJointTemperatures())
        for problem, present in (
            (f"the link to {self.address} is lost", not receive.isConnected()),
            ("emergency stop", receive.isEmergencyStopped()),
            ("protective stop; see the teach pendant, then robo-rl reset", receive.isProtectiveStopped()),
            (f"no news from the controller for {age:.3f} s", self.holding and age > self._max_age),
            ("the controller's program ended", self.holding and ended),
            (f"a joint has {hottest:.0f} degrees C, limit {self._limit:.0f}", hottest > self._limit),
            (f"gripper: {self._trouble}", self._trouble),
        ):
            if present:
                self._fault(problem)

    @property
    def _answers(self) -> bool:
        """Whether the controller takes commands. The SDK waits very long for one that says nothing any more."""
        if self._control is None or not self._control.isConnected():
            return False
        silence = time.monotonic() - self._stamp
        return self._connected.getTimestamp() != self._controllers_time or silence <= self._max_age

    @property
    def _trouble(self) -> str:
        """Of the gripper, "" where there is none."""
        return "" if self._gripper is None else self._gripper.problem

    def _require_ready(self) -> None:
        mode = self._receive.getRobotMode()
        if self._receive.isEmergencyStopped() or self._receive.isProtectiveStopped():
            raise UserError(
                f"robot.bus={self.address}: the controller is in a safety stop; look at the robot, then robo-rl reset"
            )
        if mode != RUNNING:
            raise UserError(
                f"robot.bus={self.address}: the arm is not ready ({MODES.get(mode, mode)}): switch it on and release "
                "the brakes at the teach pendant"
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the SDK says when it cannot connect, as a `UserError` that says what to do."""
        try:
            yield
        except RuntimeError as error:
            text = " ".join(str(error).split())
            if TAKEN in text:
                raise UserError(
                    f"robot.bus={self.address}: busy: another program commands the arm; end it first (or switch off "
                    "the controller's EtherNet/IP, PROFINET and Modbus)"
                ) from error
            raise UserError(
                f"robot.bus={self.address}: no UR controller that takes commands ({text}); is it on, on this network, "
                "and in remote control?"
            ) from error

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A link that is lost becomes a fault."""
        try:
            yield
        except RuntimeError as error:
            self._fault(f"the link to {self.address} is lost: {' '.join(str(error).split())}")

    def _fault(self, reason: str) -> None:
        self.guard.fault(ONE, reason)

    def _release(self) -> None:
        """The SDK's interfaces disconnect when they are gone, and take half a second each."""
        if self._gripper is not None:
            self._gripper.close()
        self._control = self._receive = self._gripper = None

    @property
    def _connected(self) -> Any:
        if self._receive is None:
            raise RuntimeError(f"robot {self.description.name} is not connected")
        return self._receive


def _sdk() -> tuple[Any, Any]:
    try:
        import rtde_control
        import rtde_receive
    except ModuleNotFoundError as error:
        if error.name not in ("rtde_control", "rtde_receive"):
            raise
        raise MissingExtra("ur-rtde", "ur5e") from error
    return rtde_control, rtde_receive

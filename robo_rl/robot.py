"""The hardware abstraction: robots, sensors, the guard between policy and motor, and the rig that owns time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from robo_rl.errors import CorruptFile, UserError
from robo_rl.spec import Feature, Spec
from robo_rl.tracking import pose_feature
from robo_rl.types import Obs

Stamp = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Joint:
    """One actuated joint of a kinematic table. The joint turns about `axis` in the frame that `position` and
    `quaternion` give relative to the parent joint's frame."""

    name: str
    low: float  # [rad]
    high: float  # [rad]
    home: float  # [rad]
    max_speed: float  # [rad/s], of the setpoint: the guard's rate limit
    max_torque: float  # [N.m]
    position: tuple[float, float, float]  # [m]
    quaternion: tuple[float, float, float, float]  # w x y z
    axis: tuple[float, float, float]
    parent: str = ""  # name of the parent joint; "" is the base
    max_acceleration: float = float("inf")  # [rad/s2], of the setpoint


@dataclass(frozen=True)
class RobotDescription:
    """What a robot is, on hardware and in simulation alike: from here both get their specs.

    One of several robots of a rig has a `prefix`, such as "left/", before its joints' names and its tool's key, and a
    place in the rig's frame, in which tool poses are given.
    """

    name: str
    dt: float  # [s], control period
    joints: tuple[Joint, ...]
    tool_parent: str  # joint that carries the tool frame; "": the robot has none
    tool_position: tuple[float, float, float]  # [m], in that joint's frame
    model: Mapping[str, Any]  # further data of simulators and drivers (masses, gains, servo ids)
    tool_quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # w x y z, in that joint's frame
    prefix: str = ""
    base_position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # [m], of the base frame in the rig's frame
    base_quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # w x y z

    @classmethod
    def load(cls, path: str | Path) -> RobotDescription:
        """Read a description from YAML. Raises `CorruptFile` with the path and the key that does not fit."""
        try:
            data = yaml.safe_load(Path(path).read_text())
            if "robots" in data:
                names = ", ".join(data["robots"])
                raise CorruptFile(f"robot description {path}: holds several robots ({names}), not one")
            joints = tuple(Joint(**_tuples(joint)) for joint in data.pop("joints"))
            return cls(joints=joints, **_tuples(data))
        except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
            raise CorruptFile(f"robot description {path}: {error}") from error

    @property
    def names(self) -> tuple[str, ...]:
        """Of the joints, with the prefix: in specs, logs and models."""
        return tuple(self.prefix + joint.name for joint in self.joints)

    @property
    def tool_key(self) -> str:
        """Observation key of the tool's pose."""
        return self.prefix + "tool_pose"

    def array(self, field: str) -> np.ndarray:
        """One field of every joint, (J,) or (J, 3) float64."""
        return np.array([getattr(joint, field) for joint in self.joints], np.float64)

    def servo(self, field: str) -> np.ndarray:
        """A number of `model.servo`, for every joint (J,) float64; the file gives one for all, or a list."""
        return np.array(np.broadcast_to(np.asarray(self.model["servo"][field], np.float64), len(self.joints)))

    @property
    def obs_spec(self) -> Spec:
        low, high = self.array("low"), self.array("high")
        joints = len(self.joints)
        spec = Spec(
            {
                "joint_position": Feature((joints,), unit="rad", names=self.names),
                "joint_velocity": Feature((joints,), unit="rad/s", names=self.names),
                "applied": Feature((joints,), "float32", low, high, "rad", self.names),
            }
        )
        return spec | {self.tool_key: pose_feature()} if self.tool_parent else spec

    @property
    def act_spec(self) -> Feature:
        low, high = self.array("low"), self.array("high")
        return Feature((len(self.joints),), "float32", low, high, "rad", self.names)


Described = str | Path | Sequence[RobotDescription]
"""Robots of a rig: a file that describes them, or what such a file says."""


def load_descriptions(path: Described) -> tuple[RobotDescription, ...]:
    """The robots of a rig: one, or those that a file lists under `robots`, each a file beside it with a place.

    Raises `CorruptFile` with the path and the key that does not fit.
    """
    if not isinstance(path, str | Path):
        return tuple(path)
    try:
        data = yaml.safe_load(Path(path).read_text())
        robots = data.get("robots") if isinstance(data, Mapping) else None
        if robots is None:
            return (RobotDescription.load(path),)
        places = {name: _tuples(place) for name, place in robots.items()}
        files = {name: Path(path).with_name(f"{place.pop('description')}.yaml") for name, place in places.items()}
        return tuple(
            replace(RobotDescription.load(files[name]), prefix=f"{name}/", **place) for name, place in places.items()
        )
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise CorruptFile(f"robot description {path}: {error}") from error


def load_description(path: Described) -> RobotDescription:
    """The robot of a rig that has one; errors as of `RobotDescription.load`."""
    if isinstance(path, str | Path):
        return RobotDescription.load(path)
    (description,) = path
    return description


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


class Guard(Protocol):
    """Stands between every command and every motor; one implementation for hardware and simulation."""

    def reset(self, where: np.ndarray, position: np.ndarray) -> None:
        """Rows `where` (N,) bool start an episode holding `position` (N, A). Latched faults stay."""
        ...

    def filter(self, target: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Setpoints (N, A) that may be sent in place of `target`; rows not live keep their last one."""
        ...

    def sense(self, obs: Obs, stamp: Stamp) -> None:
        """Latch rows whose observation says that something is wrong: a robot with feet that tilts or falls."""
        ...

    @property
    def faults(self) -> np.ndarray:
        """(N,) bool: rows with a latched fault. They hold until `clear`."""
        ...

    @property
    def reasons(self) -> Sequence[str]:
        """One text a row, "" where there is no fault."""
        ...


class Robot(ABC):
    """One device, real or simulated. Specs are readable while it is disconnected."""

    description: RobotDescription
    obs_spec: Spec
    act_spec: Feature

    @abstractmethod
    def connect(self) -> None:
        """Open the device. Raises `UserError` that says what to do when it cannot be opened."""

    @abstractmethod
    def home(self, where: np.ndarray) -> np.ndarray:
        """Move rows `where` towards the home pose; (N,) bool, True for rows that are there."""

    @abstractmethod
    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Send setpoints (N, A) to the rows that are live; returns what was accepted, (N, A)."""

    @abstractmethod
    def read(self) -> tuple[Obs, Stamp]:
        """Latest observation (N, ...) and its capture times [s], (N,)."""

    @abstractmethod
    def stop(self) -> None:
        """Go to the configured safe state."""

    @abstractmethod
    def close(self) -> None:
        """Stop and release the device. May be called twice."""


class Sensor(ABC):
    """A camera, an object tracker, an elevation scan. Specs are readable while it is disconnected."""

    obs_spec: Spec
    max_age: float | None = None  # [s] that what it delivers may be old; None: what the rig says

    def connect(self) -> None:
        """Open the device. Raises `UserError` that says what to do when it cannot be opened."""

    @abstractmethod
    def read(self) -> tuple[Obs, Stamp]:
        """Latest observation (N, ...) and its capture times [s], (N,)."""

    @property
    def problem(self) -> str:
        """Why it delivers nothing new, "" where it does not know or nothing is wrong."""
        return ""

    def close(self) -> None:
        """Release the device. May be called twice."""


class Rig(ABC):
    """Robots, sensors and the clock; owner of time and physics. Two arms are one rig."""

    obs_spec: Spec
    act_spec: Feature
    dt: float  # [s]
    n: int

    @abstractmethod
    def home(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Bring rows `where` (N,) bool to the start pose for the episodes of these seeds (N,) int64.

        Returns (N,) bool: rows that have arrived. Called every tick until they have.
        """

    @abstractmethod
    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Command the live rows; returns the accepted setpoints (N, A) float32."""

    @abstractmethod
    def tick(self, live: np.ndarray) -> None:
        """Let one control period pass: physics in simulation, a monotonic deadline on hardware."""

    @abstractmethod
    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Observations (privileged ones too, in simulation) and capture stamps after the tick."""

    @property
    @abstractmethod
    def condition(self) -> np.ndarray:
        """(N,) uint8 `Reason`: RUNNING, FAULT or DIVERGED."""

    @property
    def messages(self) -> Sequence[str]:
        """One text a row on what is wrong with it, "" where nothing is."""
        return [""] * self.n

    def rest(self) -> None:
        """Hold where it is; nobody means to command until the next `home` or `write`, so that silence is no fault."""

    def command_tools(self) -> None:
        """Be commanded in the space of the robots' tools from now on. Raises `UserError` where that does not work."""
        raise UserError("robot.action=tool: this rig takes joint setpoints alone")

    def privileged(self) -> Spec:
        """Spec of what `read` adds under the privileged prefix. Empty on hardware."""
        return Spec({})

    def save_state(self, rows: np.ndarray) -> np.ndarray | None:
        """Full simulation state of some rows, (K, S); None where the world is real."""
        return None

    def load_state(self, rows: np.ndarray, state: np.ndarray) -> None:
        """Restore what `save_state` returned."""
        raise NotImplementedError(f"{type(self).__name__} cannot restore a state")

    @abstractmethod
    def close(self) -> None:
        """Stop every robot and release everything. May be called twice."""

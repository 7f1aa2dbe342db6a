"""The hardware abstraction: robots, sensors, the guard between policy and motor, and the rig that owns time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from robo_rl.errors import CorruptFile
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


@dataclass(frozen=True)
class RobotDescription:
    """What a robot is, on hardware and in simulation alike: from here both get their specs."""

    name: str
    dt: float  # [s], control period
    joints: tuple[Joint, ...]
    tool_parent: str  # joint that carries the tool frame
    tool_position: tuple[float, float, float]  # [m], in that joint's frame
    model: Mapping[str, Any]  # further data of simulators and drivers (masses, gains, servo ids)
    tool_quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # w x y z, in that joint's frame

    @classmethod
    def load(cls, path: str | Path) -> RobotDescription:
        """Read a description from YAML. Raises `CorruptFile` with the path and the key that does not fit."""
        try:
            data = yaml.safe_load(Path(path).read_text())
            joints = tuple(Joint(**_tuples(joint)) for joint in data.pop("joints"))
            return cls(joints=joints, **_tuples(data))
        except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
            raise CorruptFile(f"robot description {path}: {error}") from error

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    def array(self, field: str) -> np.ndarray:
        """One field of every joint, (J,) or (J, 3) float64."""
        return np.array([getattr(joint, field) for joint in self.joints], np.float64)

    @property
    def obs_spec(self) -> Spec:
        low, high = self.array("low"), self.array("high")
        joints = len(self.joints)
        return Spec(
            {
                "joint_position": Feature((joints,), unit="rad", names=self.names),
                "joint_velocity": Feature((joints,), unit="rad/s", names=self.names),
                "applied": Feature((joints,), "float32", low, high, "rad", self.names),
                "tool_pose": pose_feature(),
            }
        )

    @property
    def act_spec(self) -> Feature:
        low, high = self.array("low"), self.array("high")
        return Feature((len(self.joints),), "float32", low, high, "rad", self.names)


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
    """A camera, an object tracker, an elevation scan."""

    obs_spec: Spec

    @abstractmethod
    def read(self) -> tuple[Obs, Stamp]:
        """Latest observation (N, ...) and its capture times [s], (N,)."""


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

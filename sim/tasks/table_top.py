"""What the table-top tasks of one arm share: bodies that begin somewhere at random, a condition that has to hold for
some ticks, and a reward of named terms.

A task is a config (its frozen numbers: what stands on the table, and where) and a `TableTask` that says when the
condition holds. `reward=sparse` is 1 at success, else 0. `reward=shaped` adds sum of weight * (term - 1) over the
task's terms, each in 0..1: nothing a tick gives before success is above zero, so that dawdling never pays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from robo_rl import random
from robo_rl.cameras import Camera, cameras_of
from robo_rl.errors import UnknownName
from robo_rl.ranges import POSITIVE
from robo_rl.robot import Described, Guard, RobotDescription, load_description
from robo_rl.spec import Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import PRIVILEGED, Obs, Reason
from sim.cameras import add_cameras, camera_sensors
from sim.models.arms import add_arm
from sim.models.table import add_table
from sim.poses import pose_view
from sim.randomisation import Randomiser, preset
from sim.rig import SimRig
from sim.robot import SimRobot
from sim.sensors import EXACT, FIDUCIAL, ObjectTracker, TrackerNoise, TruePoses
from sim.servo import chosen_details
from sim.world import World, require_batch

REWARDS = ("sparse", "shaped")
# An enum's member takes NumPy several times as long as a plain number.
_SUCCESS, _RUNNING = int(Reason.SUCCESS), int(Reason.RUNNING)


@dataclass(frozen=True)
class Place:
    """Where a body begins: uniform in a rectangle, turned by a uniform angle."""

    centre: tuple[float, float]  # [m]
    region: tuple[float, float]  # sides [m]
    yaw: float  # [rad], plus or minus
    height: float = 0.0  # of its frame above the table [m]
    heading: float = 0.0  # about which it is turned [rad]

    def poses(self, draw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (K, 3) and quaternions (K, 4) from draws (K, 3) in -1..1."""
        position, quaternion = np.zeros((len(draw), 3)), np.zeros((len(draw), 4))
        position[:, :2] = self.centre + draw[:, :2] * self.region / np.array(2.0)
        position[:, 2] = self.height
        yaw = self.heading + draw[:, 2] * self.yaw
        quaternion[:, 0], quaternion[:, 3] = np.cos(yaw / 2), np.sin(yaw / 2)
        return position, quaternion


@dataclass(frozen=True)
class TableConfig(ABC):
    """Numbers of a table-top task. Frozen: a change of any number is a new task, except for limit and reward."""

    hold: int = 5  # [ticks] that the condition must hold
    limit: float = 10.0  # [s]
    reward: str = "sparse"

    name: ClassVar[str]
    bodies: ClassVar[tuple[str, ...]]  # what the tracker sees

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise UnknownName("task.reward", self.reward, REWARDS)
        POSITIVE.check_fields(self, "task.task.config", "limit")

    @abstractmethod
    def furnish(self, spec: mujoco.MjSpec) -> None:
        """Put the task's bodies on the table."""

    @abstractmethod
    def places(self) -> Mapping[str, Place]:
        """Where free and mocap bodies begin; three draws a body, in this order."""


class TableTask(Task):
    """Base of the tasks: subclasses say when the condition holds, and how far it is from holding."""

    obs_spec = Spec({})
    weights: Mapping[str, float] = {}  # of the shaped reward's terms, a tick

    def __init__(self, world: World, config: TableConfig) -> None:
        self.world, self.name, self.limit = world, config.name, config.limit
        self._places = [(pose_view(world, body), place) for body, place in config.places().items()]
        self._hold, self._shaped = config.hold, config.reward == "shaped"
        self._held = np.zeros(world.n, np.int64)  # ticks in a row that the condition has held
        self._stream = random.stream(config.name)

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Place the bodies of the rows `where` (N,) bool from their seeds (N,); rows are ready at once."""
        draw = 2.0 * random.uniform(seeds[where], 0, self._stream, 3 * len(self._places)) - 1.0
        for index, (view, place) in enumerate(self._places):
            for values, drawn in zip(view, place.poses(draw[:, 3 * index : 3 * index + 3]), strict=True):
                values[where] = drawn
        self._held[where] = 0
        return where

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        """Terminal when the condition has held for `hold` ticks in a row; reward as the module's docstring says."""
        self._held = np.where(self.solved(obs), self._held + 1, 0)
        success = self._held >= self._hold
        reason = np.where(success, _SUCCESS, _RUNNING).astype(np.uint8)
        reward = success.astype(np.float32)
        if self._shaped:
            terms = self.terms(obs)
            reward += sum(self.weights[name] * (terms[name] - 1.0) for name in self.weights).astype(np.float32)
        return Verdict(reward, success, success.astype(np.int8), reason)

    @abstractmethod
    def solved(self, obs: Obs) -> np.ndarray:
        """(N,) bool: the condition holds now."""

    @abstractmethod
    def terms(self, obs: Obs) -> dict[str, np.ndarray]:
        """Terms of the shaped reward by the names of `weights`, each (N,) in 0..1, 1 where nothing is missing."""


def closeness(distance: np.ndarray, scale: float = 0.1) -> np.ndarray:
    """1 at distance 0 [m], falling to 0 over a few `scale` [m]: 1 - tanh(distance / scale)."""
    return 1.0 - np.tanh(distance / scale)


def tool_distance(obs: Obs, position: np.ndarray) -> np.ndarray:
    """(N,) distance between the tool and positions (N, 3) [m]."""
    return np.linalg.norm(obs["tool_pose"][:, :3] - position, axis=1)


def build_model(
    robots: RobotDescription | Sequence[RobotDescription], config: TableConfig, cameras: Sequence[Camera] = ()
) -> mujoco.MjModel:
    """Compile arms, table, the task's bodies, and what `cameras` need."""
    robots = (robots,) if isinstance(robots, RobotDescription) else robots
    spec = mujoco.MjSpec()
    spec.modelname, spec.compiler.degree = config.name.rpartition("/")[2], False
    set_physics(spec, robots[0].dt)
    add_table(spec)
    for robot in robots:
        add_arm(spec, robot)
    config.furnish(spec)
    add_cameras(spec, cameras)
    return spec.compile()


def set_physics(spec: mujoco.MjSpec, dt: float) -> None:
    """Time step and solver of all table-top tasks for the control period `dt` [s].

    8 substeps a control tick and Newton with a pyramidal cone: stable grasps, the fastest of the settings that were.
    """
    spec.option.timestep = dt / 8
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    spec.option.iterations, spec.option.ls_iterations = 20, 20
    spec.option.tolerance = 1e-6
    spec.option.impratio = 1.0


def make_rig(
    description: Described,
    n: int,
    config: TableConfig,
    nthread: int = 0,
    guard: Guard | None = None,
    noise: TrackerNoise = FIDUCIAL,
    realtime: bool = False,
    servo: str = "ideal",
    randomise: str = "none",
    cameras: Sequence[str] = (),
    tracker: bool = True,
) -> SimRig:
    """The simulated arm with the task's bodies, and a tracker that sees them; n rows.

    Args:
        servo: "ideal", or "real": with the description's `servo_details`.
        randomise: one of `sim.randomisation.PRESETS`; with cameras it changes what they see, too.
        cameras: names from the description's `cameras`.
        tracker: observe the bodies' poses; without, pictures alone show where they are.
    """
    robots, guards = [load_description(description)], None if guard is None else [guard]
    return assemble(robots, n, config, nthread, guards, noise, realtime, servo, randomise, cameras, tracker)


def assemble(
    robots: Sequence[RobotDescription],
    n: int,
    config: TableConfig,
    nthread: int,
    guards: Sequence[Guard] | None,
    noise: TrackerNoise,
    realtime: bool,
    servo: str,
    randomise: str,
    cameras: Sequence[str] = (),
    tracker: bool = True,
) -> SimRig:
    """The simulated robots on one table, each with its guard. See `make_rig`."""
    require_batch()
    ranges, eyes = preset(randomise), cameras_of(robots, cameras, "task.rig.cameras")
    details = [chosen_details(robot, servo, ranges is not None) for robot in robots]
    world = World(build_model(robots, config, eyes), n, robots[0].dt, nthread)
    each = zip(robots, [None] * len(robots) if guards is None else guards, details, strict=True)
    arms = [SimRobot(world, robot, guard, detail) for robot, guard, detail in each]
    trackers = [ObjectTracker(world, config.bodies, noise)] if tracker else []
    truth = TruePoses(trackers[0], PRIVILEGED) if tracker else ObjectTracker(world, config.bodies, EXACT, PRIVILEGED)
    randomiser = None if ranges is None else Randomiser(world, ranges, arms, trackers)
    seen, looks = camera_sensors(world, eyes, randomise)
    return SimRig(world, arms, [*trackers, *seen], [truth, *looks], realtime, randomiser)

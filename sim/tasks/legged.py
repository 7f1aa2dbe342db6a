"""What the tasks of a walking robot share: a level floor, a fall that ends the episode, a verdict at its end, and a
reward of named terms.

An episode lasts `limit` seconds. It ends sooner when the robot falls (failure, discount 0): its trunk tilts by more
than `tilt` or touches the floor. Whether it succeeded is judged at the last tick: success ends the episode with
reward 1 (discount 0); a robot that stands but did not do the task is truncated there (discount 1).

`reward=shaped` adds sum of weight * term at every tick, each term in 0..1. Unlike in the table-top tasks nothing is
subtracted: there, ending sooner is the aim; here it is the failure.

Every episode begins with the robot at its home pose, its feet just touching the floor at the origin, at rest, at a
heading that is uniform in +-180 degrees.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from robo_rl import random
from robo_rl.cameras import Camera, cameras_of
from robo_rl.errors import UnknownName, UserError
from robo_rl.ranges import POSITIVE
from robo_rl.robot import Described, Guard, RobotDescription, load_description
from robo_rl.spec import Feature, Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import PRIVILEGED, Obs, Reason
from sim.cameras import add_cameras, camera_sensors
from sim.legs import USUAL, BodySensors, ImuNoise, Trunk, TrunkVelocity
from sim.models.go2 import HOME, TRUNK, add_go2, add_ground, add_home
from sim.randomisation import Randomiser, preset
from sim.rig import SimRig
from sim.robot import SimRobot
from sim.sensors import EXACT, ObjectTracker
from sim.servo import chosen_details
from sim.world import World, require_batch

REWARDS = ("sparse", "shaped")
SUBSTEPS = 5  # physics steps a control tick
# An enum's member takes NumPy several times as long as a plain number.
_SUCCESS, _FAILURE = int(Reason.SUCCESS), int(Reason.FAILURE)


@dataclass(frozen=True)
class LeggedConfig:
    """Numbers of a task. Frozen: a change of any number is a new task, except for limit and reward."""

    limit: float = 10.0  # [s]
    reward: str = "sparse"
    tilt: float = 1.0  # of the trunk that counts as a fall [rad]
    filter: float = 0.25  # time constant of the velocity that is judged [s]: a stride's sway is no error

    name: ClassVar[str]

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise UnknownName("task.reward", self.reward, REWARDS)
        POSITIVE.check_fields(self, "task.task.config", "limit")


class LeggedTask(Task):
    """Base of the tasks: subclasses say what the command is, what succeeds, and what the reward is made of.

    `obs_spec`: `command_velocity` (2,), forward and left in the robot's own frame [m/s], and `command_turn` (1,),
    its rate of turn about the vertical, positive to the left [rad/s].
    """

    obs_spec = Spec(
        {
            "command_velocity": Feature((2,), unit="m/s", names=("forward", "left")),
            "command_turn": Feature((1,), unit="rad/s", names=("turn",)),
        }
    )
    weights: Mapping[str, float] = {}  # of the shaped reward's terms, a tick

    def __init__(self, world: World, config: LeggedConfig) -> None:
        self.world, self.name, self.limit = world, config.name, config.limit
        self.trunk = Trunk(world)
        self.velocity = np.zeros((world.n, 3))  # filtered: forward, left [m/s], turn [rad/s]
        self._height, self._fallen = float(world.model.key(HOME).qpos[2]), np.cos(config.tilt)
        self._follow = 1.0 - np.exp(-world.dt / config.filter)
        self._ticks = round(config.limit / world.dt)
        self._shaped = config.reward == "shaped"
        self._stream = random.stream(config.name)

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Stand the rows `where` (N,) bool up at headings from their seeds (N,); rows are ready at once."""
        yaw = np.pi * (2.0 * random.uniform(seeds[where], 0, self._stream, 1)[:, 0] - 1.0)
        self.trunk.place(where, self._height, yaw)
        self.velocity[where] = 0.0
        return where

    def observe(self) -> dict[str, np.ndarray]:
        command = self.command().astype(np.float32)
        return {"command_velocity": command[:, :2], "command_turn": command[:, 2:]}

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        """As the module's docstring says."""
        upright = self.trunk.upright
        self.velocity += self._follow * (self.trunk.planar(upright) - self.velocity)
        self.watch()
        fallen = (upright < self._fallen) | self.trunk.touches
        success, reason = (self.world.tick >= self._ticks) & ~fallen, np.zeros(self.world.n, np.uint8)
        if success.any():
            success &= self.solved()
            reason[success] = _SUCCESS
        if fallen.any():
            reason[fallen] = _FAILURE
        reward = success.astype(np.float32)
        if self._shaped:
            terms = self.terms()
            reward += sum(self.weights[name] * terms[name] for name in self.weights).astype(np.float32)
        return Verdict(reward, fallen | success, success.astype(np.int8), reason)

    @abstractmethod
    def command(self) -> np.ndarray:
        """(N, 3) what the robot is asked to do now: forward, left [m/s], turn [rad/s]."""

    @abstractmethod
    def watch(self) -> None:
        """Look at the tick that has passed, and prepare the next."""

    @abstractmethod
    def solved(self) -> np.ndarray:
        """(N,) bool: an episode that ended now would have succeeded."""

    @abstractmethod
    def terms(self) -> dict[str, np.ndarray]:
        """Terms of the shaped reward by the names of `weights`, each (N,) in 0..1, 1 where all is well."""


def build_model(description: RobotDescription, name: str, cameras: Sequence[Camera] = ()) -> mujoco.MjModel:
    """Compile robot, floor and `cameras`, with a keyframe `HOME` in which the robot stands at its home pose."""
    spec = mujoco.MjSpec()
    spec.modelname, spec.compiler.degree = name.replace("/", "_"), False
    set_physics(spec, description.dt)
    add_ground(spec)
    add_go2(spec, description)
    add_cameras(spec, cameras)
    add_home(spec, description)
    return spec.compile()


def set_physics(spec: mujoco.MjSpec, dt: float) -> None:
    """Time step and solver for the control period `dt` [s]: 4 ms at 50 Hz.

    PGS with 10 iterations and a pyramidal cone; the motors' damping is integrated implicitly.
    """
    spec.option.timestep = dt / SUBSTEPS
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    spec.option.solver = mujoco.mjtSolver.mjSOL_PGS
    spec.option.iterations = 10


def make_rig(
    description: Described,
    n: int,
    config: LeggedConfig,
    nthread: int = 0,
    guard: Guard | None = None,
    noise: ImuNoise = USUAL,
    realtime: bool = False,
    servo: str = "ideal",
    randomise: str = "none",
    cameras: Sequence[str] = (),
) -> SimRig:
    """The simulated robot on its floor, with IMU and foot force sensors; n rows.

    Args:
        servo: "ideal", or "real": with the description's `servo_details`.
        randomise: one of `sim.randomisation.PRESETS`; with cameras it changes what they see, too.
        cameras: names from the description's `cameras`.
    """
    require_batch()
    robot, ranges = load_description(description), preset(randomise)
    if "feet" not in robot.model:
        raise UserError(
            f"robot.description={robot.name}: task={config.name} needs a robot with legs, e.g. robot=go2_sim"
        )
    details = chosen_details(robot, servo, ranges is not None)
    eyes = cameras_of(robot, cameras, "task.rig.cameras")
    world = World(build_model(robot, config.name, eyes), n, robot.dt, nthread)
    legs, sensors = SimRobot(world, robot, guard, details), BodySensors(world, robot.model["feet"], noise)
    truth = [ObjectTracker(world, [TRUNK], EXACT, PRIVILEGED), TrunkVelocity(world)]
    randomiser = None if ranges is None else Randomiser(world, ranges, [legs], [])
    seen, looks = camera_sensors(world, eyes, randomise)
    return SimRig(world, [legs], [sensors, *seen], [*truth, *looks], realtime, randomiser)

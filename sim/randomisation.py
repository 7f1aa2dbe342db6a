"""Domain randomisation: ranges as data, drawn for every episode from its seed, written into that simulation alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from robo_rl import random
from robo_rl.errors import UnknownName
from robo_rl.robot import Sensor, Stamp
from robo_rl.spec import Feature, Spec
from robo_rl.types import PRIVILEGED, Obs
from sim.robot import SimRobot
from sim.sensors import ObjectTracker
from sim.servo import MAX_LATENCY
from sim.world import World

Range = tuple[float, float]


@dataclass(frozen=True)
class Randomisation:
    """Uniform ranges. Factors multiply what the model, the description or the sensor says."""

    mass: Range = (1.0, 1.0)  # factor on mass and inertia of every body
    friction: Range = (1.0, 1.0)  # factor on all contacts
    damping: Range = (1.0, 1.0)  # factor, joints
    armature: Range = (1.0, 1.0)  # factor, joints
    frictionloss: Range = (1.0, 1.0)  # factor, joints
    gain: Range = (1.0, 1.0)  # factor, servos
    torque: Range = (1.0, 1.0)  # factor, servos
    latency: Range = (0.0, 0.0)  # on top of the servos' own [ticks]
    noise: Range = (1.0, 1.0)  # factor on the trackers' noise
    bias_x: Range = (0.0, 0.0)  # of the trackers [m]
    bias_y: Range = (0.0, 0.0)
    bias_z: Range = (0.0, 0.0)


PRESETS: dict[str, Randomisation | None] = {
    "none": None,
    "train": Randomisation(
        mass=(0.85, 1.15),
        friction=(0.8, 1.2),
        damping=(0.8, 1.25),
        armature=(0.8, 1.25),
        frictionloss=(0.5, 1.5),
        gain=(0.85, 1.15),
        torque=(0.8, 1.0),
        latency=(0.0, 1.0),
        noise=(0.5, 1.5),
        bias_x=(-0.001, 0.001),
        bias_y=(-0.001, 0.001),
        bias_z=(-0.001, 0.001),
    ),
    "test": Randomisation(  # wider than what was trained on
        mass=(0.75, 1.3),
        friction=(0.7, 1.3),
        damping=(0.7, 1.4),
        armature=(0.7, 1.4),
        frictionloss=(0.3, 2.0),
        gain=(0.75, 1.25),
        torque=(0.7, 1.0),
        latency=(0.0, 1.5),
        noise=(0.5, 2.0),
        bias_x=(-0.0015, 0.0015),
        bias_y=(-0.0015, 0.0015),
        bias_z=(-0.0015, 0.0015),
    ),
}
NAMES = tuple(field.name for field in fields(Randomisation))
MODEL_FIELDS = {  # field of the model -> name of its factor
    "body_mass": "mass",
    "body_inertia": "mass",
    "geom_friction": "friction",
    "dof_damping": "damping",
    "dof_armature": "armature",
    "dof_frictionloss": "frictionloss",
    "actuator_gainprm": "gain",
    "actuator_biasprm": "gain",
    "actuator_forcerange": "torque",
}
KEY = PRIVILEGED + "randomisation"


def preset(name: str) -> Randomisation | None:
    """The ranges of a name; `UserError` with the valid names for another one."""
    if name not in PRESETS:
        raise UnknownName("task.rig.randomise", name, PRESETS)
    return PRESETS[name]


class Randomiser(Sensor):
    """Draws an episode's numbers when its row is reset, and shows them under a privileged key, (N, F) float32.

    Args:
        world: its per-simulation model fields are written.
        ranges: to draw from.
        robots: with servo models; their gains, torques and latencies follow.
        trackers: whose noise and bias follow.
    """

    def __init__(
        self, world: World, ranges: Randomisation, robots: Sequence[SimRobot], trackers: Sequence[ObjectTracker]
    ) -> None:
        bounds = np.array([getattr(ranges, name) for name in NAMES])
        self._low, self._width = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        self.world, self.trackers = world, tuple(trackers)
        self.obs_spec = Spec({KEY: Feature((len(NAMES),), "float32", bounds[:, 0], bounds[:, 1], "", NAMES)})
        self._fields = [
            (world.expand(name), np.array(getattr(world.model, name)), NAMES.index(factor))
            for name, factor in MODEL_FIELDS.items()
        ]
        self._servos = [(servos, servos.latency[0]) for robot in robots if (servos := robot.servos) is not None]
        self._torque = [(servos.kp[0].copy(), servos.torque[0].copy()) for servos, _ in self._servos]
        self.values = np.ones((world.n, len(NAMES)))  # (N, F), what rows were given
        self._stream = random.stream("randomisation")

    def redraw(self, where: np.ndarray, seeds: np.ndarray) -> None:
        """Numbers of the rows `where` (N,) bool for the episodes of `seeds` (N,)."""
        draw = random.uniform(seeds[where], 0, self._stream, len(NAMES))
        self.give(where, self._low + self._width * draw)

    def give(self, where: np.ndarray, values: np.ndarray) -> None:
        """Put numbers (K, F) into the simulations `where` (N,) bool."""
        self.values[where] = values
        for view, base, column in self._fields:
            factor = self.values[where, column]
            view[where] = base * factor.reshape(-1, *[1] * base.ndim)
        self.world.batch.set_const(np.flatnonzero(where))
        self._servo(where)
        for tracker in self.trackers:
            tracker.vary(where, self._value(where, "noise"), self.values[where, NAMES.index("bias_x") :])

    def read(self) -> tuple[Obs, Stamp]:
        return {KEY: self.values.astype(np.float32)}, {KEY: self.world.tick * self.world.dt}

    def _servo(self, where: np.ndarray) -> None:
        for (servos, latency), (kp, torque) in zip(self._servos, self._torque, strict=True):
            servos.kp[where] = kp * self._value(where, "gain")[:, None]
            servos.torque[where] = torque * self._value(where, "torque")[:, None]
            servos.latency[where] = np.minimum(latency + self._value(where, "latency"), MAX_LATENCY)

    def _value(self, where: np.ndarray, name: str) -> np.ndarray:
        return self.values[where, NAMES.index(name)]

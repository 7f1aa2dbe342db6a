"""Physical numbers of a simulated robot that can be set by name: what system identification fits, and what
`robot.params=` loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from robo_rl.errors import CorruptFile, UnknownName, UserError
from sim.rig import SimRig
from sim.servo import MAX_LATENCY

JOINTS = {  # group -> usual size
    "armature": 0.01, "damping": 0.1, "drag": 0.05, "frictionloss": 0.05, "gain": 10.0, "mass": 0.1,
}  # fmt: skip
LATENCY = "latency"
GROUPS = (*JOINTS, LATENCY)
RANGE = (0.05, 20.0)  # of a number, in units of its size


class Parameters:
    """Some named numbers of the robot of a rig, which every simulation has for itself.

    `armature.JOINT` [kg.m2], `damping.JOINT` [N.m.s/rad], `drag.JOINT` [N.m.s2/rad2] (a torque that grows with the
    square of the speed), `frictionloss.JOINT` [N.m], `gain.JOINT` of its servo [N.m/rad], `mass.JOINT` of its link [kg]
    (its inertia follows), and `latency` [ticks].

    Args:
        rig: with one robot; it is given a servo model where it has none, since that is what delays.
        names: in the order of the columns; default all.

    Attributes:
        nominal, size, low, high: (P,) what the rig's first row has now, the unit to search in, and where to search.

    Raises:
        UnknownName: a name that the robot does not have.
        UserError: several robots, or a rig whose numbers are drawn anew in every episode.
    """

    def __init__(self, rig: SimRig, names: Sequence[str] | None = None) -> None:
        if len(rig.robots) != 1:
            raise UserError(f"robot.params=: the rig has {len(rig.robots)} robots; one is supported")
        if rig.randomised:
            raise UserError("robot.params=: the numbers of task.rig.randomise would replace these; use one of the two")
        self.rig, self._robot = rig, rig.robots[0]
        rig.model_servos()
        valid = valid_names(self._robot.description.names)
        self.names = tuple(valid if names is None else names)
        for name in self.names:
            if name not in valid:
                raise UnknownName("params", name, valid)
        self._places = [_Place(rig, name) for name in self.names]
        self.nominal = np.array([place.nominal for place in self._places])
        usual = np.array([1.0 if name == LATENCY else JOINTS[name.partition(".")[0]] for name in self.names])
        self.size = np.where((self.nominal > 0) & (np.array(self.names) != LATENCY), self.nominal, usual)
        delay = np.array(self.names) == LATENCY
        self.low = np.where(delay, 0.0, RANGE[0] * self.size)
        self.high = np.where(delay, MAX_LATENCY, RANGE[1] * self.size)

    def give(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Put numbers (K, P) into the simulations `rows` (K,)."""
        for column, place in enumerate(self._places):
            place.write(rows, values[:, column])
        self.rig.world.batch.set_const(rows)


class _Place:
    """Where one number lives: model fields, each with its share of the value, and the servo model."""

    def __init__(self, rig: SimRig, name: str) -> None:
        group, _, joint = name.partition(".")
        world, robot = rig.world, rig.robots[0]
        self._servos, self._group = robot.servos, group
        self._fields: list[tuple[np.ndarray, tuple[int, ...], np.ndarray]] = []  # view, index, value per unit
        if group == LATENCY:
            assert self._servos is not None
            self.nominal = float(self._servos.latency[0])
            return
        self._column = robot.description.names.index(joint)
        dof, link, servo = world.model.joint(joint), world.model.jnt_bodyid[world.model.joint(joint).id], joint
        at = {
            "armature": [("dof_armature", int(dof.dofadr[0]))],
            "damping": [("dof_damping", int(dof.dofadr[0]))],
            "drag": [("dof_dampingpoly", int(dof.dofadr[0]))],
            "frictionloss": [("dof_frictionloss", int(dof.dofadr[0]))],
            "mass": [("body_mass", int(link)), ("body_inertia", int(link))],
            "gain": [(f"actuator_{part}prm", int(world.model.actuator(servo).id)) for part in ("gain", "bias")],
        }[group]
        first = np.array(getattr(world.model, at[0][0])[at[0][1]]).reshape(-1)[0]
        self.nominal = float(world.expand(at[0][0])[0, at[0][1]].reshape(-1)[0])
        for field, index in at:
            value = np.array(getattr(world.model, field)[index], np.float64)
            unit = value / first if first else _one_at_first(value)
            self._fields.append((world.expand(field), (index,), unit))

    def write(self, rows: np.ndarray, values: np.ndarray) -> None:
        for view, index, unit in self._fields:
            view[(rows, *index)] = values.reshape(-1, *[1] * unit.ndim) * unit
        if self._servos is not None and self._group == "gain":
            self._servos.kp[rows, self._column] = values
        if self._servos is not None and self._group == LATENCY:
            self._servos.latency[rows] = values


def _one_at_first(value: np.ndarray) -> np.ndarray:
    unit = np.zeros(value.size)
    unit[0] = 1.0
    return unit.reshape(value.shape)


def valid_names(joints: Sequence[str]) -> list[str]:
    """Names of all numbers of a robot with these joints."""
    return [*(f"{group}.{joint}" for group in JOINTS for joint in joints), LATENCY]


def expand(groups: Sequence[str], joints: Sequence[str]) -> list[str]:
    """Names of groups (`damping`) and single numbers (`damping.elbow_flex`), without doubles.

    Raises:
        UnknownName: neither a group nor a number.
    """
    valid, found = valid_names(joints), dict[str, None]()
    for group in groups:
        names = [name for name in valid if name == group or name.partition(".")[0] == group]
        if not names:
            raise UnknownName("params", group, [*GROUPS, *valid])
        found |= dict.fromkeys(names)
    return list(found)


def load(path: str | Path, robot: str) -> dict[str, float]:
    """Numbers by name from a YAML file that `sysid` wrote, or a person: `robot:` and `values:`.

    Raises:
        CorruptFile: no such file, or not numbers by name.
        UserError: it is of another robot.
    """
    try:
        data = yaml.safe_load(Path(path).read_text())
        values = {str(name): float(value) for name, value in data["values"].items()}
        of = str(data["robot"])
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise CorruptFile(f"robot.params={path}: expected robot: and values: {{name: number}}; {error}") from error
    if of != robot:
        raise UserError(f"robot.params={path}: is of robot={of}, not of {robot}")
    for name, value in values.items():
        if not 0 <= value < np.inf:
            raise UserError(f"robot.params={path}: {name}={value}: must be a number not below 0")
    return values


def apply(rig: SimRig, values: Mapping[str, float]) -> None:
    """Give every simulation of the rig these numbers."""
    if values.get(LATENCY, 0.0) > MAX_LATENCY:
        raise UserError(f"robot.params=: latency={values[LATENCY]}: at most {MAX_LATENCY} ticks")
    parameters, n = Parameters(rig, list(values)), rig.world.n
    parameters.give(np.arange(n), np.tile(list(values.values()), (n, 1)))

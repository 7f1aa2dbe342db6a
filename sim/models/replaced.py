"""A robot's MJCF file in place of the built-in model: found, checked against the robot's description, put in the world.

Links, masses, shapes and joint friction are the file's. Servos are the description's, so that gains, `servo=real` and
`robot.params` mean what they always do; joints, links and actuators get the description's names. Shapes that collide in
the file touch table, fixtures and parts, not one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import yaml

from robo_rl.errors import CorruptFile, UnknownName, UserError
from robo_rl.kinematics import rotation_matrix
from robo_rl.robot import RobotDescription

KEY = "mjcf"  # in a description's `model`
MENAGERIE = "menagerie:"
PREFIX = "replaced/"  # of the file's own names in the world
SUFFIXES = ("", "_joint")  # that a joint of the file may have after the description's name
LIMITS, PLACES, AXES = 0.02, 0.002, 0.02  # [rad] [m] [rad] that the file may differ by
FREE, HINGE = mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_HINGE
POSES = 4  # at which it is compared, beside home


@dataclass(frozen=True)
class Source:
    """A file, and how its names and its frame fit the description's."""

    asked: str  # what was asked for
    path: Path
    joints: Mapping[str, str]  # name in the description -> name in the file
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the file's frame in the robot's base frame [m]
    quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # w x y z

    def refuse(self, problem: str) -> UserError:
        return UserError(f"robot.model={self.asked}: {problem}")


def with_model(description: RobotDescription, asked: str) -> RobotDescription:
    """The description with another model of the robot.

    Args:
        asked: an MJCF file, `menagerie:NAME` or `menagerie:NAME/ENTRY`, or a YAML file with `mjcf:` (one of these) and
            any of `joints:` (name in the description: name in the file), `position:` and `quaternion:`.

    Raises:
        UserError: there is no such file, or no such model on this machine.
    """
    return replace(description, model={**description.model, KEY: _source(asked)})


def attach(
    spec: mujoco.MjSpec,
    description: RobotDescription,
    touches: int,
    add_servo: Callable[[mujoco.MjSpec, RobotDescription, int], None],
) -> dict[str, Any]:
    """Put the description's other model into `spec`'s world; bodies by the name of their joint, "" is the base.

    Args:
        touches: contype bits of what the robot's shapes touch.
        add_servo: adds the actuator of a joint, given by its number.

    Raises:
        UserError: it does not fit the description; one line with all that differs.
    """
    source: Source = description.model[KEY]
    child = _load(source)
    names = _names(child, description, source)
    problems = _problems(child, description, source, names)
    if problems:
        raise source.refuse(f"does not fit robot {description.name}: {'; '.join(problems)}")
    for kind in ("keys", "actuators", "sensors", "cameras", "lights"):
        for element in list(getattr(child, kind)):
            child.delete(element)
    prefix = description.prefix + PREFIX
    base = spec.worldbody.add_frame(pos=description.base_position, quat=description.base_quaternion)
    frame = spec.worldbody.add_frame(pos=source.position, quat=source.quaternion)
    frame.set_frame(base)
    root, unit = child.worldbody.first_body().name, 180.0 / np.pi if child.compiler.degree else 1.0
    spec.attach(child, prefix=prefix, frame=frame)
    bodies = {"": spec.body(prefix + root)}
    bodies[""].name = description.prefix + "base"
    for index, joint in enumerate(description.joints):
        found = spec.joint(prefix + names[joint.name])
        bodies[joint.name] = found.parent
        found.name = found.parent.name = description.prefix + joint.name
        found.limited, found.range = True, [unit * joint.low, unit * joint.high]
        add_servo(spec, description, index)
    for body in (bodies[""], *bodies[""].find_all("body")):
        body.gravcomp = description.model.get("gravity_compensation", 0.0)
    for geom in bodies[""].find_all("geom"):
        if geom.contype or geom.conaffinity:
            geom.contype, geom.conaffinity = 0, touches
    return bodies


def _source(asked: str) -> Source:
    path = Path(asked).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        return Source(asked, _found(asked, asked, Path()), {})
    try:
        data = yaml.safe_load(path.read_text())
        mjcf, joints = str(data.pop("mjcf")), dict(data.pop("joints", None) or {})
        return Source(asked, _found(mjcf, asked, path.parent), joints, **{k: tuple(v) for k, v in data.items()})
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError, AttributeError) as error:
        keys = "mjcf:, and joints:, position:, quaternion: where needed"
        raise CorruptFile(f"robot.model={asked}: expected {keys}; {str(error).splitlines()[0]}") from error


def _found(mjcf: str, asked: str, folder: Path) -> Path:
    if mjcf.startswith(MENAGERIE):
        return _in_menagerie(mjcf.removeprefix(MENAGERIE), asked)
    path = folder / Path(mjcf).expanduser()
    if not path.is_file():
        raise UserError(f"robot.model={asked}: no such file: {path}; give an MJCF file, a YAML file or {MENAGERIE}NAME")
    return path


def _in_menagerie(name: str, asked: str) -> Path:
    """File of a model of MuJoCo Menagerie on this machine: nothing is downloaded here."""
    try:
        import mujoco_menagerie as menagerie
    except ImportError as error:
        raise UserError(f"robot.model={asked}: needs pip install 'robo-rl[menagerie]'") from error
    name, _, entry = name.partition("/")
    if name not in menagerie.names():
        raise UnknownName("robot.model", asked, [MENAGERIE + known for known in menagerie.names()])
    robot, cache = menagerie.get(name), menagerie.Cache()
    if cache.root is None and not cache.is_cached(robot):
        raise UserError(
            f"robot.model={asked}: is not on this machine; to download it: mujoco-menagerie prefetch {name}"
        )
    try:
        return Path(robot.xml(entry or robot.default_model))
    except menagerie.MenagerieError as error:
        raise UserError(f"robot.model={asked}: {error}") from error


def _load(source: Source) -> mujoco.MjSpec:
    try:
        child = mujoco.MjSpec.from_file(str(source.path))
    except ValueError as error:
        raise source.refuse(f"MuJoCo cannot read it: {' '.join(str(error).split())}") from error
    for body in child.worldbody.bodies:
        body.name = body.name or "base"
    return child


def _names(child: mujoco.MjSpec, description: RobotDescription, source: Source) -> dict[str, str]:
    """Joints of the file by those of the description; an error that lists what is missing."""
    known, has = {joint.name for joint in description.joints}, {joint.name for joint in child.joints}
    unknown = [name for name in source.joints if name not in known]
    if unknown:
        raise UnknownName(f"robot.model={source.asked}: joints", unknown[0], sorted(known))
    found = {}
    for joint in description.joints:
        names = [source.joints[joint.name]] if joint.name in source.joints else [joint.name + s for s in SUFFIXES]
        found[joint.name] = next((name for name in names if name in has), "")
    missing = [joint for joint, name in found.items() if not name]
    if missing:
        others = sorted(has - set(found.values()) - {""})
        raise source.refuse(
            f"lacks joints of robot {description.name}: {', '.join(missing)}; it has "
            f"{', '.join(others) or 'no others'}; a YAML file with mjcf: and joints: may say which is which"
        )
    return found


def _problems(
    child: mujoco.MjSpec, description: RobotDescription, source: Source, names: Mapping[str, str]
) -> list[str]:
    """What differs from the description, a few words each."""
    floats, fixed = [joint for joint in child.joints if joint.type == FREE], bool(description.tool_parent)
    if len(child.worldbody.bodies) != 1 or child.worldbody.geoms:
        return ["its world holds more than the robot; give the robot's own file, not a scene"]
    if fixed == bool(floats):
        return ["its base floats" if fixed else "its base does not float"]
    problems = [f"{own} is no hinge" for own, name in names.items() if child.joint(name).type != HINGE]
    idle = [actuator.name or actuator.target for actuator in child.actuators if actuator.target not in names.values()]
    if idle:
        problems.append(f"actuators that drive no joint of the robot: {', '.join(idle)}")
    return problems or _differences(child, description, source, names)


def _differences(
    child: mujoco.MjSpec, description: RobotDescription, source: Source, names: Mapping[str, str]
) -> list[str]:
    """Limits of joints, and where joints and their axes are at home and in other poses."""
    try:
        model = child.copy().compile()
    except ValueError as error:
        return [f"MuJoCo cannot compile it: {' '.join(str(error).split())}"]
    joints = [model.joint(names[joint.name]) for joint in description.joints]
    problems = []
    for own, joint in zip(description.joints, joints, strict=True):
        low, high = joint.range if model.jnt_limited[joint.id] else (-np.inf, np.inf)
        if max(abs(low - own.low), abs(high - own.high)) > LIMITS:
            problems.append(
                f"{own.name} has limits {low:.3f} to {high:.3f} rad, expected {own.low:.3f} to {own.high:.3f}"
            )
    away, askew = _distances(model, [joint.id for joint in joints], description, source)
    for own, distance, angle in zip(description.joints, away, askew, strict=True):
        if distance > PLACES:
            problems.append(f"{own.name} is {1e3 * distance:.1f} mm away from where it should be")
        if angle > AXES:
            problems.append(f"{own.name} turns about another axis, by {np.degrees(angle):.1f} degrees")
    return problems


def _distances(
    model: mujoco.MjModel, joints: Sequence[int], description: RobotDescription, source: Source
) -> tuple[np.ndarray, np.ndarray]:
    """How far joints (J,) are off their places [m], and their axes off their directions [rad], at the worst pose."""
    low, high, data = description.array("low"), description.array("high"), mujoco.MjData(model)
    poses = np.random.default_rng(0).uniform(low, high, (POSES, len(joints)))
    places, turns = [], []
    for pose in (description.array("home"), *poses):
        data.qpos[model.jnt_qposadr[joints]] = pose
        mujoco.mj_kinematics(model, data)
        anchors, axes = _in_base(data, joints, description, source)
        wanted = _table(description, pose)
        places.append(np.linalg.norm(anchors - wanted[0], axis=1))
        turns.append(np.arccos(np.clip((axes * wanted[1]).sum(axis=1), -1.0, 1.0)))
    return np.max(places, axis=0), np.max(turns, axis=0)


def _in_base(
    data: mujoco.MjData, joints: Sequence[int], description: RobotDescription, source: Source
) -> tuple[np.ndarray, np.ndarray]:
    """Places and axes (J, 3) of the file's joints in the robot's base frame."""
    anchors, axes = data.xanchor[joints], data.xaxis[joints]
    if description.tool_parent:
        turn = rotation_matrix(np.array(source.quaternion))
        return anchors @ turn.T + source.position, axes @ turn.T
    turn = data.xmat[1].reshape(3, 3)  # the first body floats
    return (anchors - data.xpos[1]) @ turn, axes @ turn


def _table(description: RobotDescription, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and axes (J, 3) that the description's table gives, in the robot's base frame."""
    frames, anchors, axes = {"": np.eye(4)}, [], []
    for joint, angle in zip(description.joints, pose, strict=True):
        place, turn = np.eye(4), np.eye(4)
        place[:3, :3], place[:3, 3] = rotation_matrix(np.array(joint.quaternion)), joint.position
        place = frames[joint.parent] @ place
        axis = np.array(joint.axis) / np.linalg.norm(joint.axis)
        turn[:3, :3] = rotation_matrix(np.array([np.cos(angle / 2), *np.sin(angle / 2) * axis]))
        anchors.append(place[:3, 3])
        axes.append(place[:3, :3] @ axis)
        frames[joint.name] = place @ turn
    return np.array(anchors), np.array(axes)

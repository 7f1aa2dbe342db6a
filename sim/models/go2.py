"""Unitree Go2 from primitives, generated from the robot description so that the two cannot disagree.

Lengths, masses, inertias, limits and gains come from `configs/description/go2.yaml`; only the looks and the collision
shapes are written here. Feet and trunk touch the floor, nothing else touches anything: four spheres and a box are what
contacts cost in a gait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np

from robo_rl.robot import Joint, RobotDescription
from sim.models.replaced import KEY, attach

TRUNK = "trunk"
HOME = "home"  # keyframe
TOUCH = "_touch"  # ending of a touch sensor's name
ACCELEROMETER = "accelerometer"
CONTACT = 1  # contype bit of the floor
SHELL = (0.90, 0.91, 0.93, 1.0)
DARK = (0.16, 0.17, 0.19, 1.0)
MOTOR = (0.30, 0.32, 0.35, 1.0)
_BOX, _CAPSULE, _CYLINDER, _SPHERE, _PLANE = (
    mujoco.mjtGeom.mjGEOM_BOX,
    mujoco.mjtGeom.mjGEOM_CAPSULE,
    mujoco.mjtGeom.mjGEOM_CYLINDER,
    mujoco.mjtGeom.mjGEOM_SPHERE,
    mujoco.mjtGeom.mjGEOM_PLANE,
)


def add_go2(spec: mujoco.MjSpec, description: RobotDescription) -> None:
    """Add the robot to `spec`'s world body, its free trunk at the origin.

    Bodies, joints and actuators are named after the description's joints. Motors: torque = clip(kp (ctrl - q) - kd v,
    +-max_torque). Sensors: the trunk's accelerometer, and a touch sensor a foot and for the trunk (`TOUCH`).
    """
    model = description.model
    if KEY in model:
        bodies = attach(spec, description, CONTACT, _add_motor)
        bodies[""].name = next(joint for joint in bodies[""].joints).name = TRUNK
    else:
        bodies = _add_bodies(spec, description)
    for foot in model["feet"]:
        _add_touch(spec, bodies[f"{foot}_calf"], foot, model["foot"])
    _add_senses(spec, bodies[""], model["trunk"]["size"])


def _add_bodies(spec: mujoco.MjSpec, description: RobotDescription) -> dict[str, Any]:
    """Bodies by the name of their joint, "" is the trunk; with motors, shapes and looks."""
    model = description.model
    trunk = spec.worldbody.add_body(name=TRUNK)
    trunk.add_freejoint(name=TRUNK)
    _give_inertia(trunk, model["trunk"], 1, 1)
    bodies = {"": trunk}
    for index, joint in enumerate(description.joints):
        bodies[joint.name] = _add_link(bodies[joint.parent], joint, model)
        _add_motor(spec, description, index)
    for foot in model["feet"]:
        _add_foot(bodies[f"{foot}_calf"], foot, model["foot"])
    half = [side / 2 for side in model["trunk"]["size"]]
    trunk.add_geom(name=TRUNK, type=_BOX, size=half, rgba=SHELL, mass=0, contype=0, conaffinity=CONTACT, group=1)
    _add_looks(bodies, description)
    return bodies


def add_ground(spec: mujoco.MjSpec) -> None:
    """An endless chequered floor at z = 0, one light, a sky."""
    texture, builtin = mujoco.mjtTexture, mujoco.mjtBuiltin
    sky, floor = ([0.93, 0.95, 0.98], [0.60, 0.68, 0.78]), ([0.72, 0.74, 0.76], [0.64, 0.66, 0.69])
    spec.add_texture(
        name="sky",
        type=texture.mjTEXTURE_SKYBOX,
        builtin=builtin.mjBUILTIN_GRADIENT,
        rgb1=sky[0],
        rgb2=sky[1],
        width=64,
        height=384,
    )
    spec.add_texture(
        name="floor",
        type=texture.mjTEXTURE_2D,
        builtin=builtin.mjBUILTIN_CHECKER,
        rgb1=floor[0],
        rgb2=floor[1],
        width=128,
        height=128,
    )
    material = spec.add_material(name="floor", texrepeat=[1, 1], texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    spec.visual.headlight.ambient = [0.4, 0.4, 0.4]
    spec.visual.headlight.diffuse = [0.4, 0.4, 0.4]
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.worldbody.add_geom(name="floor", type=_PLANE, size=[0, 0, 1], material="floor", contype=CONTACT, conaffinity=0)
    light = {"type": mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, "castshadow": True}
    spec.worldbody.add_light(pos=[0, 0, 3], dir=[0.3, 0.2, -1], diffuse=[0.5, 0.5, 0.5], **light)


def _give_inertia(body: Any, link: Mapping[str, Any], front: int, left: int) -> None:
    """Mass and inertia of a link, mirrored where `front` or `left` is -1."""
    x, y, z = link["com"]
    xx, yy, zz, xy, xz, yz = link["inertia"]
    body.mass, body.ipos, body.explicitinertial = link["mass"], [front * x, left * y, z], True
    body.fullinertia = [xx, yy, zz, front * left * xy, front * xz, left * yz]


def _add_link(parent: Any, joint: Joint, model: Mapping[str, Any]) -> Any:
    foot, _, kind = joint.name.partition("_")
    body = parent.add_body(name=joint.name, pos=joint.position, quat=joint.quaternion)
    front = -1 if kind == "hip" and foot[0] == "R" else 1  # the hips alone are mirrored from front to rear
    _give_inertia(body, model["links"][kind], front, 1 if foot[1] == "L" else -1)
    limits: dict[str, Any] = {"limited": True, "range": [joint.low, joint.high]}
    servo = model["servo"]
    body.add_joint(name=joint.name, axis=joint.axis, damping=servo["damping"], armature=servo["armature"], **limits)
    return body


def _add_motor(spec: mujoco.MjSpec, description: RobotDescription, index: int) -> None:
    joint, servo = description.joints[index], description.model["servo"]
    actuator = spec.add_actuator(
        name=joint.name,
        target=joint.name,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        forcelimited=True,
        forcerange=[-joint.max_torque, joint.max_torque],
    )
    actuator.set_to_position(kp=servo["kp"], kv=servo["kd"])


def _add_foot(calf: Any, name: str, foot: Mapping[str, Any]) -> None:
    radius = foot["radius"]
    body = calf.add_body(name=f"{name}_foot", pos=foot["position"])
    body.add_geom(
        name=f"{name}_foot",
        type=_SPHERE,
        size=[radius, 0, 0],
        mass=foot["mass"],
        rgba=DARK,
        contype=0,
        conaffinity=CONTACT,
        condim=3,
        friction=[foot["friction"], 0.02, 0.01],
        priority=1,
        group=1,
    )


def _add_touch(spec: mujoco.MjSpec, calf: Any, name: str, foot: Mapping[str, Any]) -> None:
    """What feels the floor under a foot; it feels what its own body's shapes touch."""
    body, place = calf, np.array(foot["position"])
    for part in calf.bodies:
        if any(geom.conaffinity for geom in part.geoms):
            body, place = part, place - part.pos
    body.add_site(name=name + TOUCH, type=_SPHERE, pos=place, size=[1.2 * foot["radius"]] * 3, group=4)
    _add_sensor(spec, mujoco.mjtSensor.mjSENS_TOUCH, name + TOUCH)


def _add_senses(spec: mujoco.MjSpec, trunk: Any, size: Sequence[float]) -> None:
    """The sensors in the trunk, and the camera 'front' that goes along with it."""
    trunk.add_site(name=TRUNK + TOUCH, type=_BOX, size=[side / 2 + 0.02 for side in size], group=4)
    _add_sensor(spec, mujoco.mjtSensor.mjSENS_TOUCH, TRUNK + TOUCH)
    trunk.add_site(name=ACCELEROMETER, group=4)
    _add_sensor(spec, mujoco.mjtSensor.mjSENS_ACCELEROMETER, ACCELEROMETER)
    trunk.add_camera(
        name="front",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM,
        pos=[0.75, -1.15, 0.45],
        xyaxes=[0.84, 0.55, 0, -0.17, 0.26, 0.95],
        fovy=45,
    )


def _add_sensor(spec: mujoco.MjSpec, kind: mujoco.mjtSensor, site: str) -> None:
    spec.add_sensor(name=site, type=kind, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=site)


def _look(body: Any, kind: Any, rgba: tuple, **shape: Any) -> None:
    body.add_geom(type=kind, rgba=rgba, contype=0, conaffinity=0, mass=0, group=1, **shape)


def _add_looks(bodies: Mapping[str, Any], description: RobotDescription) -> None:
    trunk = bodies[""]
    _look(trunk, _BOX, DARK, pos=(0.235, 0, 0.01), size=(0.055, 0.040, 0.040))
    _look(trunk, _SPHERE, SHELL, pos=(0.285, 0, 0.02), size=(0.035, 0, 0))
    for name in description.model["feet"]:
        side = 1 if name[1] == "L" else -1
        hip, thigh, calf = (bodies[f"{name}_{kind}"] for kind in ("hip", "thigh", "calf"))
        _look(hip, _CYLINDER, MOTOR, fromto=(-0.05, 0, 0, 0.05, 0, 0), size=(0.042, 0, 0))
        _look(hip, _CYLINDER, DARK, fromto=(0, side * 0.05, 0, 0, side * 0.115, 0), size=(0.045, 0, 0))
        _look(thigh, _CAPSULE, SHELL, fromto=(0, 0, -0.02, 0, 0, -0.19), size=(0.022, 0, 0))
        _look(calf, _CAPSULE, MOTOR, fromto=(0, 0, -0.01, 0, 0, -0.20), size=(0.013, 0, 0))


def add_home(spec: mujoco.MjSpec, description: RobotDescription) -> None:
    """Add the keyframe `HOME`: the robot alone in `spec`, at its home pose, its feet just touching the floor."""
    home = [joint.home for joint in description.joints]
    model = spec.compile()
    data = mujoco.MjData(model)
    data.qpos[:7] = 0, 0, 0, 1, 0, 0, 0
    for joint in description.joints:
        data.joint(joint.name).qpos = joint.home
    mujoco.mj_kinematics(model, data)
    lowest = min(data.site(foot + TOUCH).xpos[2] for foot in description.model["feet"])
    data.qpos[2] = description.model["foot"]["radius"] - lowest
    spec.add_key(name=HOME, qpos=data.qpos, ctrl=home)

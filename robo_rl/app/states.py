"""A log's observations as states of a simulation, so that any log of a robot can be looked at, a physical one's too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from robo_rl.env import Env
from robo_rl.errors import UserError
from robo_rl.log.episode import Episode
from robo_rl.log.reader import Log
from robo_rl.seeds import Seeds
from robo_rl.types import PRIVILEGED
from sim.poses import pose_sink

POSITION, POSE = "joint_position", "_pose"


class Puppet:
    """The simulated twin of a logged robot, posed tick by tick: joints by their names, objects by their tracked poses.

    What is logged without noise (privileged poses) is preferred to what a tracker saw.

    Args:
        env: of one row, with a simulated rig.
        episode: tells which joints and objects there are.
        names: of the joints.

    Raises:
        UserError: the rig is real, or shares no joint with the log.
    """

    def __init__(self, env: Env, episode: Episode, names: tuple[str, ...]) -> None:
        self._rig, self._world = simulated(env)
        self._joints = {i: place for i, name in enumerate(names) if (place := _joint(self._world, name)) is not None}
        bodies = {_body(self._world, key): key for key in _poses(episode)}
        sinks = {bodies[number]: _sink(self._world, bodies[number]) for number in sorted(bodies) if number >= 0}
        self._objects = {key: sink for key, sink in sinks.items() if sink is not None}  # a parent before its drawer
        if not self._joints:
            raise UserError(f"log=: the simulation has none of the log's joints ({', '.join(names) or 'none'})")

    @property
    def shown(self) -> list[str]:
        """Keys of the objects that move."""
        return sorted(self._objects)

    def states(self, episode: Episode) -> Iterator[np.ndarray]:
        """The simulation's state (S,) at each tick."""
        for tick, position in enumerate(episode.obs[POSITION]):
            for index, address in self._joints.items():
                self._world.qpos[0, address] = position[index]
            for key, move in self._objects.items():
                move(episode.obs[key][tick, None, :3], episode.obs[key][tick, None, 3:])
            yield self._rig.save_state(np.zeros(1, int))[0]


def puppet_of(env: Env, log: Log, episode: Episode) -> Puppet:
    """A puppet that shows a log, its world begun. Raises `UserError` where the log or the rig does not fit."""
    if POSITION not in log.obs_spec:
        raise UserError(f"log={log.path}: has no {POSITION} to show")
    puppet = Puppet(env, episode, log.obs_spec[POSITION].names)
    env.reset(np.ones(1, bool), Seeds(0, 1))
    return puppet


def simulated(env: Env) -> tuple[Any, Any]:
    """Rig and world of an env; raises `UserError` where its world is real."""
    rig = getattr(env, "rig", None)
    world = getattr(rig, "world", None)
    if world is None:
        raise UserError("robot=: there is no simulated world to show; give the robot's twin, e.g. robot=so101_sim")
    return rig, world


def _poses(episode: Episode) -> list[str]:
    """Keys of object poses: of an object that has several, the privileged one."""
    keys = [key for key, value in episode.obs.items() if key.endswith(POSE) and value.shape[1:] == (7,)]
    return [key for key in keys if f"{PRIVILEGED}{key}" not in keys]


def _joint(world: Any, name: str) -> int | None:
    try:
        return int(world.model.joint(name).qposadr[0])
    except KeyError:
        return None


def _name(key: str) -> str:
    return key.removeprefix(PRIVILEGED).removesuffix(POSE)


def _body(world: Any, key: str) -> int:
    """Number of the body that a pose's key names; -1 where there is none."""
    try:
        return int(world.model.body(_name(key)).id)
    except KeyError:
        return -1


def _sink(world: Any, key: str) -> Callable[[np.ndarray, np.ndarray], None] | None:
    """What moves the body; None for one that neither lies loose nor slides."""
    try:
        return pose_sink(world, _name(key))
    except ValueError:
        return None

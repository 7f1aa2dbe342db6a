"""A log's observations as states of a simulation, so that any log of a robot can be looked at, a physical one's too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from robo_rl.env import Env
from robo_rl.errors import UserError
from robo_rl.log.episode import Episode
from robo_rl.types import PRIVILEGED

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
        self._rig = getattr(env, "rig", None)
        world = getattr(self._rig, "world", None)
        if world is None:
            raise UserError("mode=states: needs a simulated robot; give robot= its twin, e.g. robot=so101_sim")
        self._world = world
        self._joints = {i: address for i, name in enumerate(names) if (address := _joint(world, name)) is not None}
        self._objects = {key: view for key in _poses(episode) if (view := _object(world, key)) is not None}
        if not self._joints:
            raise UserError(f"mode=states: the simulation has none of the log's joints ({', '.join(names) or 'none'})")

    @property
    def shown(self) -> list[str]:
        """Keys of the objects that move."""
        return sorted(self._objects)

    def states(self, episode: Episode) -> Iterator[np.ndarray]:
        """The simulation's state (S,) at each tick."""
        for tick, position in enumerate(episode.obs[POSITION]):
            for index, address in self._joints.items():
                self._world.qpos[0, address] = position[index]
            for key, (place, turn) in self._objects.items():
                place[:], turn[:] = episode.obs[key][tick, :3], episode.obs[key][tick, 3:]
            yield self._rig.save_state(np.zeros(1, int))[0]  # type: ignore[union-attr]


def _poses(episode: Episode) -> list[str]:
    """Keys of object poses: of an object that has several, the privileged one."""
    keys = [key for key, value in episode.obs.items() if key.endswith(POSE) and value.shape[1:] == (7,)]
    return [key for key in keys if f"{PRIVILEGED}{key}" not in keys]


def _joint(world: Any, name: str) -> int | None:
    try:
        return int(world.model.joint(name).qposadr[0])
    except KeyError:
        return None


def _object(world: Any, key: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Live views of position (3,) and quaternion (4,) of a free or mocap body in row 0."""
    try:
        body = world.model.body(key.removeprefix(PRIVILEGED).removesuffix(POSE))
    except KeyError:
        return None
    mocap = int(body.mocapid[0])
    if mocap >= 0:
        return world.mocap_pos[0, mocap], world.mocap_quat[0, mocap]
    joint = world.model.joint(int(body.jntadr[0])) if body.jntnum[0] else None
    if joint is None or len(joint.qpos0) != 7:
        return None
    start = int(joint.qposadr[0])
    return world.qpos[0, start : start + 3], world.qpos[0, start + 3 : start + 7]

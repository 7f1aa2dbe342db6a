"""Numbers of a simulated robot that are set by name."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.untrained import task_env
from robo_rl.errors import UnknownName
from sim.parameters import Parameters
from sim.rig import SimRig


def swing(name: str, values: list[float]) -> np.ndarray:
    """How fast the elbow goes down by itself after 0.3 s, (N,) [rad/s], with each of the values."""
    rig = task_env(len(values), "so101/lift").rig
    assert isinstance(rig, SimRig)
    parameters, every = (
        Parameters(rig, [name, "gain.elbow_flex", "frictionloss.elbow_flex"]),
        np.ones(len(values), bool),
    )
    rig.home(every, np.arange(len(values)))
    parameters.give(np.arange(len(values)), np.array([[value, 0.5, 0.0] for value in values]))
    rig.write(np.tile(rig.robots[0].description.array("home"), (len(values), 1)), every)
    for _ in range(9):
        rig.tick(every)
    speed = rig.read()[0]["joint_velocity"][:, 2]
    rig.close()
    return np.abs(speed)


def test_drag_slows_a_joint() -> None:
    free, little, much = swing("drag.elbow_flex", [0.0, 0.5, 4.0])
    assert free > 1.02 * little > 1.02 * much


def test_a_name_that_is_none() -> None:
    rig = task_env(1, "so101/lift").rig
    assert isinstance(rig, SimRig)
    with pytest.raises(UnknownName, match=r"drag\.elbow_flex"):
        Parameters(rig, ["drag.elbow"])

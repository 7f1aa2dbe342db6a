"""Object trackers: the one place that says what a tracked pose looks like, on hardware and in simulation alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robo_rl.spec import Feature, Spec

POSE_NAMES = ("x", "y", "z", "qw", "qx", "qy", "qz")
IDENTITY = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)  # pose of the base itself


def pose_key(name: str) -> str:
    """Observation key of the object `name`."""
    return f"{name}_pose"


def pose_feature() -> Feature:
    """Pose in the robot's base frame, (7,): position [m], then the unit quaternion w x y z with w >= 0."""
    low, high = [-np.inf] * 3 + [0.0] + [-1.0] * 3, [np.inf] * 3 + [1.0] * 4
    return Feature((7,), "float32", low, high, "m", POSE_NAMES)


def tracker_spec(names: Sequence[str]) -> Spec:
    """Spec of a tracker that follows the objects `names`."""
    return Spec({pose_key(name): pose_feature() for name in names})

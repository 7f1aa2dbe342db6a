"""What a legged robot senses besides its joints: the one place that says what it looks like, on hardware and in
simulation alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robo_rl.spec import Feature, Spec


def imu_spec() -> Spec:
    """An inertial measurement unit in the trunk's frame (x forward, y left, z up).

    `imu_quaternion` (4,) turns the trunk's frame into an upright one with the trunk's heading, see `without_heading`;
    `gyroscope` (3,) [rad/s]; `accelerometer` (3,) [m/s2], gravity included (+9.81 along z at rest).
    """
    axes = ("x", "y", "z")
    return Spec(
        {
            "imu_quaternion": Feature((4,), "float32", [0, -1, -1, -1], [1, 1, 1, 1], "", ("qw", "qx", "qy", "qz")),
            "gyroscope": Feature((3,), unit="rad/s", names=axes),
            "accelerometer": Feature((3,), unit="m/s2", names=axes),
        }
    )


def foot_force_spec(feet: Sequence[str]) -> Spec:
    """`foot_force`: normal force on each foot [N]."""
    return Spec({"foot_force": Feature((len(feet),), "float32", 0.0, np.inf, "N", tuple(feet))})


def without_heading(quaternion: np.ndarray) -> np.ndarray:
    """Orientations w x y z (N, 4) with the turn about the vertical taken out; w >= 0 and z = 0.

    An IMU's heading drifts and is of no use to a gait. The twist about the world's z axis is (w, 0, 0, z), normalised;
    what is left of q = twist * swing is the swing.
    """
    w, x, y, z = quaternion.T
    norm = np.sqrt(np.maximum(w * w + z * z, 1e-12))
    cos, sin = w / norm, z / norm
    out = np.zeros((len(w), 4))
    out[:, 0], out[:, 1], out[:, 2] = norm, cos * x + sin * y, cos * y - sin * x
    return out

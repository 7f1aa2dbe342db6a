"""Closed-form kinematics of a leg with a hip that swings it sideways and a thigh and a calf that bend it, vectorised.

Positions are in the trunk's frame (x forward, y left, z up). A leg lies in a plane that its hip joint turns by q0 about
x; in that plane thigh and calf are two links:

    x = x0 - L2 sin(q1) - L3 sin(q1 + q2),   r = L2 cos(q1) + L3 cos(q1 + q2)
    (y, z) = (y0, 0) + d (cos q0, sin q0) + r (sin q0, -cos q0)
"""

from __future__ import annotations

import numpy as np

from robo_rl.robot import RobotDescription


class Legs:
    """Kinematics of all legs of a description whose joints are (hip, thigh, calf) for one leg after the other.

    Joint positions q are (..., L, 3) [rad], feet (..., L, 3) [m]. Raises `ValueError` for another structure.
    """

    def __init__(self, description: RobotDescription) -> None:
        axes, position = (description.array(name).reshape(-1, 3, 3) for name in ("axis", "position"))
        askew = position[:, 1, ::2].any() or position[:, 2, :2].any()
        if askew or not (axes == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]).all():
            raise ValueError(f"{description.name}: its legs are not of hip, thigh and calf")
        self.hip = position[:, 0]  # (L, 3)
        self.side = position[:, 1, 1]  # (L,) d
        self.thigh = -float(position[0, 2, 2])
        self.calf = -float(description.model["foot"]["position"][2])

    def feet(self, q: np.ndarray) -> np.ndarray:
        """Where the feet are (..., L, 3)."""
        forward, down = self._plane(q)
        cos, sin = np.cos(q[..., 0]), np.sin(q[..., 0])
        place = np.stack([forward, self.side * cos + down * sin, self.side * sin - down * cos], axis=-1)
        return self.hip + place

    def inverse(self, feet: np.ndarray) -> np.ndarray:
        """Joint positions (..., L, 3), calf bent backwards, that bring the feet there, or stretch towards it."""
        x, y, z = np.moveaxis(feet - self.hip, -1, 0)
        down = np.sqrt(np.maximum(y * y + z * z - self.side**2, 1e-6))
        hip = np.arctan2(z, y) - np.arctan2(-down, self.side)
        hip = np.mod(hip + np.pi, 2 * np.pi) - np.pi
        cos = (x * x + down * down - self.thigh**2 - self.calf**2) / (2 * self.thigh * self.calf)
        bend = -np.arccos(np.clip(cos, -1.0, 1.0))
        thigh = np.arctan2(-x, down) - np.arctan2(self.calf * np.sin(bend), self.thigh + self.calf * np.cos(bend))
        return np.stack([hip, thigh, bend], axis=-1)

    def torque(self, q: np.ndarray, lift: np.ndarray) -> np.ndarray:
        """Joint torques (..., L, 3) [N.m] that hold up the vertical forces `lift` (..., L) [N] under the feet.

        tau = -J^T f with f = (0, 0, lift), the floor's force on the foot.
        """
        forward, down = self._plane(q)
        cos, sin = np.cos(q[..., 0]), np.sin(q[..., 0])
        shin = -self.calf * np.sin(q[..., 1] + q[..., 2])
        rows = (self.side * cos + down * sin, -forward * cos, -shin * cos)  # dz/dq
        return -np.stack(rows, axis=-1) * lift[..., None]

    def _plane(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Foot in the leg's plane: forward of the hip, and below it."""
        thigh, both = q[..., 1], q[..., 1] + q[..., 2]
        forward = -self.thigh * np.sin(thigh) - self.calf * np.sin(both)
        return forward, self.thigh * np.cos(thigh) + self.calf * np.cos(both)

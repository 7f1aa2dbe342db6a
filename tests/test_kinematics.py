"""Forward kinematics against scipy, and the table against what a user would measure."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from robo_rl.kinematics import Kinematics, quaternion, rotation_matrix
from tests.fakes import tiny_arm


def test_quaternions_equal_scipy_whatever_the_rotation() -> None:
    rotations = Rotation.random(500, rng=np.random.default_rng(0))
    halves = Rotation.from_rotvec(np.pi * np.eye(3))  # w = 0: the trace is no pivot
    for given in (rotations, halves):
        found = quaternion(given.as_matrix())
        assert (found[:, 0] >= 0).all()
        assert np.allclose(Rotation.from_quat(found, scalar_first=True).as_matrix(), given.as_matrix(), atol=1e-12)
        for matrix, q in zip(given.as_matrix(), found, strict=True):
            assert np.allclose(rotation_matrix(q), matrix, atol=1e-12)


def test_the_chain_is_a_product_of_rotations() -> None:
    arm = dataclasses.replace(tiny_arm(), tool_quaternion=(0.5, 0.5, -0.5, 0.5))
    q = np.random.default_rng(1).uniform(-1, 1, (20, 2))
    found = Kinematics(arm).tool_pose(q)
    for angles, pose in zip(q, found, strict=True):
        first, both = Rotation.from_rotvec([0, angles[0], 0]), Rotation.from_rotvec([0, angles.sum(), 0])
        place = np.array([0, 0, 0.1]) + first.apply([0, 0, 0.1]) + both.apply([0.1, 0, 0])
        turn = both * Rotation.from_quat([0.5, 0.5, -0.5, 0.5], scalar_first=True)
        assert np.allclose(pose[:3], place, atol=1e-12)
        assert np.allclose(Rotation.from_quat(pose[3:], scalar_first=True).as_matrix(), turn.as_matrix(), atol=1e-12)

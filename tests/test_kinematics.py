"""Forward kinematics against scipy, and the table against what a user would measure."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from robo_rl.kinematics import BLOCK, Kinematics, rotation_matrix
from tests.fakes import tiny_arm


def test_rotation_matrices_equal_scipys() -> None:
    rotations = Rotation.random(100, rng=np.random.default_rng(0))
    for given in rotations:
        assert np.allclose(rotation_matrix(given.as_quat(scalar_first=True)), given.as_matrix(), atol=1e-12)


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


def test_a_row_does_not_depend_on_how_many_there_are() -> None:
    q = np.random.default_rng(2).uniform(-1, 1, (2 * BLOCK + 7, 2))
    kinematics = Kinematics(tiny_arm())
    whole = kinematics.tool_pose(q)
    for row in (0, BLOCK - 1, BLOCK, 2 * BLOCK + 6):
        assert np.array_equal(kinematics.tool_pose(q[row : row + 1])[0], whole[row])
    for rows in (2, 7, 8, 9, 64, 100):
        assert np.array_equal(kinematics.tool_pose(q[:rows]), whole[:rows])


def test_the_quaternion_has_unit_length_and_no_negative_w() -> None:
    pose = Kinematics(tiny_arm()).tool_pose(np.random.default_rng(3).uniform(-6, 6, (200, 2)))
    assert np.allclose(np.linalg.norm(pose[:, 3:], axis=1), 1, atol=1e-12) and (pose[:, 3] >= 0).all()

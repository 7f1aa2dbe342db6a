"""The Feetech driver on the emulated bus, and its simulated twin."""

from __future__ import annotations

from tests.contract.emulated_arm import EmulatedArmContract


class TestSo101(EmulatedArmContract):
    robot, task, objects = "so101", "so101/insert_peg", ("peg_pose", "block_pose")
    options = ("robot.rig.arm.patience=0.2",)
    move = (0.4, -0.1, 0.1, -0.2, 0.5, 0.2)

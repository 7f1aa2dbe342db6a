"""The Dynamixel driver on the emulated bus, and its simulated twin."""

from __future__ import annotations

from tests.contract.emulated_arm import EmulatedArmContract


class TestKoch(EmulatedArmContract):
    robot, task, objects = "koch", "koch/lift", ("cube_pose",)
    options = ("robot.rig.arm.patience=0.2", "robot.rig.arm.watchdog=2.0")
    move = (0.4, -0.1, 0.1, -0.2, 0.5, 0.2)

"""The UR driver on the emulated controller, and its simulated twin."""

from __future__ import annotations

from tests.contract.emulated_arm import TwinContract


class TestUr5e(TwinContract):
    robot, task, objects = "ur5e", "ur5e/lift", ("cube_pose",)
    calm = ("watchdog", "patience")
    options = (
        "robot.rig.arm.watchdog=10.0",
        "+robot.rig.arm.max_age=10.0",
        "robot.rig.driver.rate=60.0",
        "+robot.rig.emulator.rate=125.0",
    )
    move = (0.4, -0.1, 0.1, -0.2, 0.5, 0.2, -0.1)

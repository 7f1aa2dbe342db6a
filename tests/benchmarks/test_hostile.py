"""A hostile policy against the guard: what its judge counts, and that a short attack counts nothing."""

from __future__ import annotations

import numpy as np

from benchmarks.hostile import Victim, attack
from hardware.emulators.servo_bus import Observed
from robo_rl.robot import RobotDescription

SO101 = RobotDescription.load("configs/description/so101.yaml")


def test_no_limit_is_broken_and_the_arm_is_switched_on_again_after_its_faults() -> None:
    victim = attack(SO101, 1000, seed=10)  # twice a target that is no number
    assert victim.judge.violations == dict.fromkeys(("position", "speed", "acceleration", "workspace"), 0)
    assert victim.faults == 2 and victim.judge.packets > 500


def test_the_judge_sees_goals_that_break_limits() -> None:
    victim = Victim(SO101)
    try:
        there = victim.arm.ticks.goal(SO101.array("home"))
        told = (there, there + np.array([400, 0, 0, 0, 0, 0]), there)
        victim.judge.look([Observed(0.0, goals, np.ones(6, bool), number) for number, goals in enumerate(told)])
    finally:
        victim.close()
    assert victim.judge.violations["speed"] == 2 and victim.judge.violations["acceleration"]

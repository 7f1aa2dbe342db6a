"""Random actions break no task; and what is broken is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.randomwalk import HOME, TOLERANCE, Watch, walk
from benchmarks.tasks import names
from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Reason, Step


@pytest.mark.parametrize("task", names())
def test_twenty_random_episodes_break_nothing(task: str) -> None:
    """Cut short where nothing ends them: `python -m benchmarks randomwalk` walks whole ones."""
    found = walk(task, 20, "task.task.config.limit=4.0")
    assert found["broken"] == dict.fromkeys(found["broken"], 0) and len(found["broken"]) == 6
    assert found["episodes"] == found["resets"] == 20 and found["successes"] == 0
    assert found["steps"] > 20 * 10 and found["joint_excess_rad"] <= TOLERANCE


def spoiled(what: str, env: Any, step: Step) -> Step:
    """The step, or the world behind it, with one thing wrong in row 1."""
    world, applied, obs = env.rig.world, step.applied.copy(), dict(step.obs)
    if what == "not finite":
        obs["joint_velocity"] = np.where([[False], [True]], np.nan, obs["joint_velocity"])
    if what == "places":
        obs["privileged/cube_pose"] = obs["privileged/cube_pose"] + [[0.0] * 7, [0.13, *[0.0] * 6]]
    if what in ("home", "joint limits"):
        world.qpos[1, 0] = 1.1 * HOME if what == "home" else env.act_spec.high[0] + 1.1 * TOLERANCE
    if what == "setpoints":
        applied[1, 0] = env.act_spec.high[0] + 1e-3
    reason = np.where([False, what == "diverged"], Reason.DIVERGED, step.reason)
    return replace(step, obs=obs, applied=applied, reason=reason)


@pytest.mark.parametrize("what", ["not finite", "diverged", "setpoints", "joint limits", "home", "places"])
def test_what_is_broken_is_counted(what: str) -> None:
    config = compose("evaluate", ["task=so101/lift"])
    env: Any = make_env(config.task, config.robot, 2, nthread=1)
    step = env.reset(np.ones(2, bool), Seeds(0))
    if what in ("setpoints", "joint limits"):  # no matter of a reset
        env.send(step.obs["applied"])
        step = env.recv()
    watch = Watch(env)
    watch(step, Action(step.applied))
    assert not any(watch.broken.values())
    watch(spoiled(what, env, step), Action(step.applied))
    assert watch.broken == dict.fromkeys(watch.broken, 0) | {what: 1}
    env.close()

"""The one control loop."""

from __future__ import annotations

import inspect
import itertools

import numpy as np

from robo_rl import loop
from robo_rl.env import RigEnv
from robo_rl.loop import run
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Kind, Obs, Step
from tests.fakes import GoalPolicy, PointRig, ReachTask


def test_the_command_leaves_before_any_observer_runs() -> None:
    rig = PointRig(2)
    env = RigEnv(rig, ReachTask(2))
    run(env, GoalPolicy(2), lambda step: len(rig.events) > 20, Seeds(0), [lambda *_: rig.events.append("observe")])
    assert rig.events[:3] == ["write", "observe", "tick"]
    assert "".join(event[0] for event in rig.events).startswith("wot" * 6)


def test_the_final_last_is_observed() -> None:
    seen: list[Step] = []
    env = RigEnv(PointRig(1), ReachTask(1))
    run(env, GoalPolicy(1), lambda step: bool(step.last.all()), Seeds(0, 1), [lambda step, _: seen.append(step)])
    assert [int(step.kind[0]) for step in (seen[0], seen[-1])] == [Kind.FIRST, Kind.LAST]
    assert sum(int(step.last[0]) for step in seen) == 1


def test_applied_answers_the_action_of_the_step_before() -> None:
    seen: list[tuple[Step, Action]] = []
    env = RigEnv(PointRig(2), ReachTask(2))
    run(env, GoalPolicy(2, noise=2.0), lambda step: len(seen) > 30, Seeds(0), [lambda *pair: seen.append(pair)])
    for (before, action), (after, _) in itertools.pairwise(seen):
        moved = before.live
        assert np.array_equal(after.applied[moved], env.act_spec.clip(action.value)[moved])


def test_the_policy_is_reset_with_the_seed_of_each_episode() -> None:
    policy = GoalPolicy(2)
    run(RigEnv(PointRig(2, home_ticks=2), ReachTask(2)), policy, lambda step: step.exhausted, Seeds(3, 5))
    assert sorted(policy.resets) == [3, 4, 5, 6, 7]


def test_it_stays_short() -> None:
    assert len(inspect.getsource(loop).splitlines()) < 40


def test_a_policy_is_told_its_rows_before_it_acts() -> None:
    calls: list[str] = []

    class Told(GoalPolicy):
        def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
            calls.append(f"reset {int(where.sum())} of {len(where)}")
            super().reset(where, seeds)

        def act(self, obs: Obs) -> Action:
            calls.append("act")
            return super().act(obs)

    run(RigEnv(PointRig(2, home_ticks=3), ReachTask(2)), Told(2), lambda step: bool(step.first.any()), Seeds(0))
    assert calls[:2] == ["reset 0 of 2", "act"] and calls[-2:] == ["reset 2 of 2", "act"]

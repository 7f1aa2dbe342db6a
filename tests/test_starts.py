"""Starts in demonstrations: the state is the demonstration's, and nothing of the way there is learned from."""

from __future__ import annotations

import numpy as np
import pytest

from robo_rl.data.replay import Replay
from robo_rl.env import Env, RigEnv
from robo_rl.errors import UserError
from robo_rl.log.episode import Episode
from robo_rl.loop import run
from robo_rl.seeds import Seeds
from robo_rl.starts import DemonstrationStarts, StartsConfig
from robo_rl.types import Action, Kind, Step
from tests.contract.env import EnvContract
from tests.fakes import GoalPolicy, PointRig, ReachTask


def demonstrations(count: int = 3) -> list[Episode]:
    """Episodes of the goal policy, as a log would hold them."""
    steps: list[tuple[Step, Action]] = []
    env = RigEnv(PointRig(1), ReachTask(1))
    run(env, GoalPolicy(1), lambda s: s.exhausted, Seeds(50, count), (lambda s, a: steps.append((s, a)),))
    episodes, begun = [], 0
    for i, (step, _) in enumerate(steps):
        begun = i if step.first[0] else begun
        if step.last[0]:
            episodes.append(_episode(steps[begun : i + 1]))
    return episodes


def _episode(steps: list[tuple[Step, Action]]) -> Episode:
    def gather(name: str) -> np.ndarray:
        return np.concatenate([getattr(step, name) for step, _ in steps])

    obs = {key: np.concatenate([step.obs[key] for step, _ in steps]) for key in steps[0][0].obs}
    names = ("applied", "reward", "discount", "kind", "success", "reason")
    return Episode(obs, np.concatenate([action.value for _, action in steps]), {}, *map(gather, names),
                   seed=int(steps[0][0].seed[0]))  # fmt: skip


class TestStarts(EnvContract):
    def make(self, n: int) -> Env:
        env = DemonstrationStarts(RigEnv(PointRig(n), ReachTask(n)), demonstrations())
        env.share = 0.5
        return env


def collect(share: float, n: int = 2, episodes: int = 20) -> tuple[list[Step], Replay, list[Episode]]:
    demos, steps = demonstrations(), []
    env = DemonstrationStarts(RigEnv(PointRig(n), ReachTask(n)), demos)
    env.share = share
    replay = Replay(env.obs_spec, GoalPolicy(n).extra_spec, 2, n, 4000)
    run(env, GoalPolicy(n), lambda s: s.exhausted, Seeds(1000, episodes), (replay.add, lambda s, a: steps.append(s)))
    return steps, replay, demos


def test_an_episode_begins_in_a_state_of_its_demonstration() -> None:
    steps, _, demos = collect(share=1.0)
    found = set()
    for step in steps:
        for row in np.flatnonzero(step.first):
            position, goal = step.obs["position"][row], step.obs["goal"][row]
            demo = next(d for d in demos if np.array_equal(d.obs["goal"][0], goal))
            at = np.flatnonzero((demo.obs["position"] == position).all(1))
            assert len(at), "a state that no demonstration went through"
            found.add(int(at[0]))
            assert 1000 <= step.seed[row] < 1020 and step.reward[row] == 0
    assert len(found) > 4


def test_nothing_of_the_way_there_is_learned_from_or_counted() -> None:
    steps, replay, demos = collect(share=1.0)
    moves = sum(int(((s.kind == Kind.MID) | (s.kind == Kind.LAST)).sum()) for s in steps)
    assert replay.steps == moves
    firsts = sum(int(s.first.sum()) for s in steps)
    lasts = sum(int(s.last.sum()) for s in steps)
    assert firsts == lasts == 20
    assert moves < 20 * np.mean([len(demo) - 1 for demo in demos])  # they begin nearer to the end


def test_without_a_share_nothing_changes() -> None:
    env, other = (
        DemonstrationStarts(RigEnv(PointRig(2), ReachTask(2)), demonstrations()),
        RigEnv(PointRig(2), ReachTask(2)),
    )
    seen: list[list[Step]] = [[], []]
    for one, steps in zip((env, other), seen, strict=True):
        run(one, GoalPolicy(2), lambda s: s.exhausted, Seeds(7, 5), (lambda s, a, steps=steps: steps.append(s),))
    assert len(seen[0]) == len(seen[1])
    for mine, theirs in zip(*seen, strict=True):
        assert np.array_equal(mine.kind, theirs.kind) and np.array_equal(mine.seed, theirs.seed)
        assert np.array_equal(mine.obs["position"], theirs.obs["position"])


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_about_the_share_begins_there(share: float) -> None:
    steps, _, demos = collect(share, n=4, episodes=120)
    goals = {tuple(demo.obs["goal"][0]) for demo in demos}
    begun = [tuple(s.obs["goal"][row]) in goals for s in steps for row in np.flatnonzero(s.first)]
    assert len(begun) == 120 and abs(np.mean(begun) - share) < 0.15


@pytest.mark.parametrize("wrong", [{"until": 0}, {"share": 1.5}, {"furthest": -0.1}])
def test_a_number_out_of_range_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"learner.starts.{next(iter(wrong))}="):
        StartsConfig(**wrong)  # type: ignore[arg-type]

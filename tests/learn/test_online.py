"""Online training on a small task: it learns, counts every step, holds its ratio, and resumes bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policies.actors import Actor, Critic, Features, ResidualHead
from policies.compose import Chunked, HeldNoise, Residual
from policies.networks import Inputs, Normalise, like_pairs
from robo_rl.app.train_online import load_checkpoint, save_checkpoint
from robo_rl.data.replay import Batch, Replay, replay_of
from robo_rl.env import RigEnv
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.learn.gate import GateConfig
from robo_rl.learn.online import OnlineConfig, OnlineTraining
from robo_rl.learn.residual import ResidualConfig, ResidualLearner
from robo_rl.log.episode import Episode
from robo_rl.loop import run
from robo_rl.policy import Planner, Policy
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.types import Action, Kind, Obs, Step
from tests.fakes import GoalPolicy, PointRig, ReachTask

ROWS = 8
SMALL = OnlineConfig(
    steps=2400, segment=600, utd=0.5, batch=64, warmup_episodes=24, warmup_outcomes=2, warmup_updates=150,
    warmup_rounds=2, held_out_episodes=8, select_episodes=40, gate=GateConfig(auc=0.6, agreement=0.0),
)  # fmt: skip


class Sloppy(Planner):
    """A base that aims beside the goal, so that it arrives only sometimes: the further left, the worse."""

    horizon = 4

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        miss = np.clip(0.07 - 0.12 * obs["goal"][rows, :1], -0.1, 0.1) * np.array([1.0, -0.5])
        target = (obs["goal"][rows] + miss)[:, None, None]
        return np.tile(target, (1, samples, 4, 1)).astype(np.float32)


class Collector:
    """Observer: complete episodes in memory."""

    def __init__(self, n: int) -> None:
        self.open: list[list[tuple[Step, Action]]] = [[] for _ in range(n)]
        self.episodes: list[Episode] = []

    def __call__(self, step: Step, action: Action) -> None:
        for row in np.flatnonzero(step.kind != Kind.RESET):
            self.open[row] = [*([] if step.kind[row] == Kind.FIRST else self.open[row]), (step, action)]
            if step.kind[row] == Kind.LAST:
                self.episodes.append(self._episode(row))

    def _episode(self, row: int) -> Episode:
        ticks = self.open[row]
        names = ("applied", "reward", "discount", "kind", "success", "reason")
        arrays = {name: np.stack([getattr(step, name)[row] for step, _ in ticks]) for name in names}
        obs = {key: np.stack([step.obs[key][row] for step, _ in ticks]) for key in ticks[0][0].obs}
        action = np.stack([action.value[row] for _, action in ticks])
        return Episode(obs, action, {}, **arrays, seed=int(ticks[0][0].seed[row]), row=int(row))


class Sink:
    def __init__(self) -> None:
        self.records: list[tuple[int, dict[str, Any]]] = []

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        self.records.append((step, dict(values)))


def make_env(n: int = ROWS) -> RigEnv:
    return RigEnv(PointRig(n), ReachTask(n, 2.0))


def demonstrations() -> list[Episode]:
    env, collect = make_env(), Collector(ROWS)
    run(env, GoalPolicy(ROWS), lambda s: s.exhausted, Seeds(seed_of(Role.DEMONSTRATE), 12), [collect])
    return [episode for episode in collect.episodes if episode.succeeded]


def make(config: OnlineConfig = SMALL, save: Callable[[OnlineTraining], None] = lambda _: None) -> OnlineTraining:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    env, eval_env = make_env(), make_env(40)
    base = Chunked(Sloppy(), 3, env.act_spec)
    demos = replay_of(demonstrations(), Chunked(Sloppy(), 3, env.act_spec), env.obs_spec)
    packed = torch.from_numpy(demos.gather(demos.starts()).obs)
    inputs = Inputs.fit(packed, torch.full((packed.shape[1],), 0.05), like_pairs(env.obs_spec))
    features = Features(inputs, Normalise(torch.zeros(2), torch.ones(2)))
    size = features.size(base.extra_spec.vector_size)
    head = ResidualHead(size, [64], torch.full((2,), 0.15), -torch.ones(2), torch.ones(2))
    critic = Critic(size, 2, [64, 64], 3, torch.Generator().manual_seed(1))
    rule = ResidualConfig(gamma=0.9, actor_lr=1e-3, critic_lr=1e-3, tau=0.02, spread=0.5, average=0.98, ramp=100)
    learner = ResidualLearner(features, head, critic, rule, 2, "cpu")

    def success(policy: Policy, start: int, episodes: int) -> float:
        return float(np.mean([row["success"] for row in evaluate(eval_env, policy, start, episodes).rows]))

    explore = Residual(base, Actor(features, head), env.obs_spec, HeldNoise(2, 0.4))
    return OnlineTraining(
        env=env,
        prior=explore,  # its head is zero as long as the warm-up lasts
        explore=explore,
        greedy=Residual(Chunked(Sloppy(), 3, env.act_spec), Actor(features, learner.averaged_head), env.obs_spec),
        learner=learner,
        replay=Replay(env.obs_spec, base.extra_spec, 2, ROWS, 20_000),
        demos=demos,
        held_out=Replay(env.obs_spec, base.extra_spec, 2, ROWS, 4000),
        config=config,
        seed=0,
        evaluate=success,
        sink=Sink(),
        save=save,
    )


@pytest.fixture(scope="module")
def trained() -> OnlineTraining:
    training = make()
    training.run()
    return training


def test_it_really_learns(trained: OnlineTraining) -> None:
    first, last = trained.progress.history[0]["success"], trained.progress.history[-1]["success"]
    assert 0.1 <= first <= 0.7
    assert last >= 0.9 and trained.progress.best >= 0.9


def test_every_environment_step_counts_and_the_ratio_is_held(trained: OnlineTraining) -> None:
    progress = trained.progress
    counted = trained.replay.steps + trained.held_out.steps
    assert progress.env_steps == counted >= SMALL.steps
    assert progress.warmup_steps > 0
    assert progress.updates == int(SMALL.utd * (progress.env_steps - progress.warmup_steps))


def test_the_gate_was_read_before_the_actor_moved(trained: OnlineTraining) -> None:
    gates = [values["gate"] for _, values in trained.sink.records if "gate" in values]
    assert "auc" in gates[0] and trained.progress.gate != "closed"


def test_a_stubborn_gate_is_forced_and_says_so() -> None:
    config = dataclasses.replace(SMALL, steps=1, warmup_updates=5, gate=GateConfig(auc=1.1))
    training = make(config)
    training.run()
    assert training.progress.gate.startswith("forced after 2 rounds")


def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, steps=1800, warmup_updates=40)
    whole = make(config)
    whole.run()

    class Killed(Exception):
        pass

    def save_then_die(training: OnlineTraining) -> None:
        save_checkpoint(training, tmp_path / "checkpoint")
        if training.progress.segment == 2:
            raise Killed

    with pytest.raises(Killed):
        make(config, save_then_die).run()
    resumed = make(config)
    load_checkpoint(resumed, tmp_path / "checkpoint")
    assert resumed.progress.segment == 2
    resumed.run()
    assert resumed.progress.env_steps == whole.progress.env_steps
    assert [r["success"] for r in resumed.progress.history] == [r["success"] for r in whole.progress.history]
    state, other = whole.learner.state(), resumed.learner.state()
    assert all(torch.equal(value, other[key]) for key, value in state.items())
    replays = (whole.replay.state(), resumed.replay.state())
    assert all(np.array_equal(replays[0][key], replays[1][key], equal_nan=True) for key in replays[0])


def test_evaluations_repeat() -> None:
    training = make()
    first, second = (training.evaluate(training.greedy, seed_of(Role.SELECT), 40) for _ in range(2))
    assert first == second


def test_imitation_shows_its_progress_and_is_interrupted_between_two_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    training, batches = make(dataclasses.replace(SMALL, imitation_updates=450)), []

    def imitate(batch: Batch) -> Mapping[str, torch.Tensor]:
        batches.append(len(batch.reward))
        return {"head_loss": torch.tensor(0.5)}

    monkeypatch.setattr(training.learner, "imitate", imitate)
    training._imitate()
    assert batches == [SMALL.batch] * 450
    shown = [values for _, values in training.sink.records]  # type: ignore[attr-defined]
    assert shown == [{"imitation_updates": done, "head_loss": 0.5} for done in (200, 400)]
    training.interrupted = lambda: len(batches) >= 500
    with pytest.raises(KeyboardInterrupt):
        training._imitate()
    assert len(batches) == 500

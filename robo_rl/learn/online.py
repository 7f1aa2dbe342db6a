"""Online training on a base policy: warm-up, critic gate, segments of acting and learning.

Training runs in segments. Each begins with a reset of all rows on seeds that follow from the segment's number, and
ends with an evaluation and a checkpoint; nothing else is carried over. So a run that was killed and resumed goes the
same way, bit for bit on one thread, as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from robo_rl.data.replay import Batch, Replay
from robo_rl.env import Env
from robo_rl.learn.actor_critic import ActorCritic
from robo_rl.learn.diagnose import diagnose
from robo_rl.learn.gate import GateConfig, GateReading
from robo_rl.loop import Observer, run
from robo_rl.policy import Policy
from robo_rl.ranges import COUNT, COUNT_OR_NONE, NOT_NEGATIVE, POSITIVE, SHARE
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.types import Action, Kind, Step, Success

KEY = "learner.online"  # of a run's numbers
WINDOW = 100  # exploring episodes that `noisy_success` looks back over
SEGMENT_SEEDS = 10**5  # seeds a segment may use
REPORTED = 200  # updates between two lines of a run's numbers


@dataclass(frozen=True)
class OnlineConfig:
    steps: int = 150_000  # environment steps in all, warm-up included
    segment: int = 12_500  # environment steps between evaluations
    utd: float = 0.2  # critic updates an environment step
    batch: int = 256
    warmup_episodes: int = 64  # of the base with the noise ladder, before the first update
    warmup_outcomes: int = 10  # successes and failures wanted among them
    warmup_demo_share: float = 0.2  # of a batch; more would bias the critic towards success
    warmup_updates: int = 1200  # on Monte-Carlo returns, then as many on TD targets, a round
    warmup_rounds: int = 5  # at most; the gate is read after each; 0: no warm-up of the critic and no gate
    imitation_updates: int = 0  # of the head on demonstrations, before the first update
    held_out_episodes: int = 32  # the gate's fresh episodes
    demo_share: float = 0.5  # of a batch, at first
    demo_share_end: float = 0.15
    demo_decay: float = 0.5  # share of the run over which it falls
    progressive: int = 0  # environment steps over which the actor is let in, tick by tick; 0: at once
    noise_end: float = 0.5  # exploration at the end, as a share of that at the beginning
    select_episodes: int = 100  # of each evaluation that chooses a checkpoint
    confirm_episodes: int = 200  # of the one that confirms the choice
    gate: GateConfig = field(default_factory=GateConfig)

    def __post_init__(self) -> None:
        COUNT.check_fields(self, KEY, "steps", "segment", "batch", "warmup_episodes", "held_out_episodes")
        COUNT.check_fields(self, KEY, "select_episodes", "confirm_episodes")
        COUNT_OR_NONE.check_fields(self, KEY, "warmup_outcomes", "warmup_updates", "warmup_rounds")
        COUNT_OR_NONE.check_fields(self, KEY, "imitation_updates", "progressive")
        SHARE.check_fields(self, KEY, "warmup_demo_share", "demo_share", "demo_share_end")
        POSITIVE.check_fields(self, KEY, "utd", "demo_decay")
        NOT_NEGATIVE.check_fields(self, KEY, "noise_end")


class Sink(Protocol):
    def write(self, step: int, values: Mapping[str, Any]) -> None: ...


Evaluate = Callable[[Policy, int, int], float]  # (policy, first seed, episodes) -> success rate


@dataclass
class Progress:
    """What a run has done so far; goes into every checkpoint as JSON."""

    segment: int = 0  # segments finished
    env_steps: int = 0
    warmup_steps: int = 0
    updates: int = 0
    gate: str = "closed"
    best: float = -1e30
    best_segment: int = -1
    wall_clock_s: float = 0.0
    cpu_s: float = 0.0  # processor time of all threads
    selection_episodes: int = 0
    recent: list[int] = field(default_factory=list)  # outcomes of the last exploring episodes
    history: list[dict[str, float]] = field(default_factory=list)


class OnlineTraining:
    """Runs `explore` in `env`, feeds `replay`, updates `learner`, evaluates `greedy`.

    Args:
        prior: the base with exploration noise, which the warm-up runs.
        explore, greedy: the learner's actor with exploration noise, and its deployed one without.
        demos: demonstrations with the base's actions along them.
        begin: called where rows are reset, with the environment steps so far.
        save: called at the end of a segment with this object; writes the checkpoint.
        interrupted: asked once a tick; True ends the run with `KeyboardInterrupt`. The last checkpoint stands.
    """

    def __init__(
        self, env: Env, prior: Policy, explore: Any, greedy: Policy, learner: ActorCritic, replay: Replay,
        demos: Replay, held_out: Replay, config: OnlineConfig, seed: int, evaluate: Evaluate, sink: Sink,
        save: Callable[[OnlineTraining], None], interrupted: Callable[[], bool] = lambda: False,
        observers: tuple[Observer, ...] = (), begin: Callable[[int], None] = lambda steps: None,
    ) -> None:  # fmt: skip
        self.env, self.prior, self.explore, self.greedy, self.learner = env, prior, explore, greedy, learner
        self.replay, self.demos, self.held_out = replay, demos, held_out
        self.config, self.seed, self.evaluate, self.sink, self.save = config, seed, evaluate, sink, save
        self.interrupted, self.observers, self.begin = interrupted, observers, begin
        self.progress = Progress()
        self.best: dict[str, torch.Tensor] = self.deployed_copy()
        self._done = 0.0
        self._rng = np.random.default_rng(0)
        self._metrics: dict[str, Any] = {}
        self._started, self._started_cpu = time.monotonic(), time.process_time()

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self._started = time.monotonic() - self.progress.wall_clock_s
        self._started_cpu = time.process_time() - self.progress.cpu_s
        if self.progress.segment == 0:
            self._warm_up()
            self._finish_segment()
        while self.progress.env_steps < self.config.steps:
            self._segment()
            self._finish_segment()

    def _segment(self) -> None:
        progress, config = self.progress, self.config
        goal = min(config.steps, progress.warmup_steps + progress.segment * config.segment)
        start = seed_of(Role.TRAIN, self.seed, progress.segment * SEGMENT_SEEDS)
        self._begin(start)
        self._act(self.explore, lambda _: progress.env_steps >= goal, Seeds(start), self.replay.add, self._learn)

    def _act(self, policy: Policy, until: Callable[[Step], bool], seeds: Seeds, *observers: Observer) -> None:
        """The loop; ends between two ticks when somebody pressed Ctrl-C."""
        every = (*observers, *self.observers)
        run(self.env, policy, lambda step: self.interrupted() or until(step), seeds, every)
        if self.interrupted():
            raise KeyboardInterrupt

    def _begin(self, start: int) -> None:
        self._rng = np.random.default_rng(start)
        progress, config = self.progress, self.config
        self._done = progress.env_steps / config.steps
        share = min(1.0, progress.env_steps / config.progressive) if config.progressive else 1.0
        self.begin(progress.env_steps)
        self.explore.pace(1 + (config.noise_end - 1) * self._done, share)

    def _finish_segment(self) -> None:
        progress = self.progress
        success = self.evaluate(self.greedy, seed_of(Role.SELECT, self.seed), self.config.select_episodes)
        progress.selection_episodes += self.config.select_episodes
        if success > progress.best:
            progress.best, progress.best_segment = success, progress.segment
            self.best = self.deployed_copy()
        progress.segment += 1
        progress.wall_clock_s = time.monotonic() - self._started
        progress.cpu_s = time.process_time() - self._started_cpu
        record = self._record(success)
        record |= diagnose(self.learner, self.replay, progress.segment)
        progress.history.append(record)
        self.sink.write(progress.env_steps, record | {"gate": progress.gate})
        self.save(self)

    def _record(self, success: float) -> dict[str, float]:
        progress = self.progress
        return {
            "env_steps": progress.env_steps, "updates": progress.updates,
            "success": success, "noisy_success": self._noisy(),
            "wall_clock_s": progress.wall_clock_s, "cpu_s": progress.cpu_s,
            "utd": progress.updates / max(1, progress.env_steps),
            **self._numbers(),
        }  # fmt: skip

    # -- learning ------------------------------------------------------------------------------------------------

    def _count(self, step: Step, action: Action) -> None:
        """Every executed environment step counts, those of the warm-up and of the gate too."""
        self.progress.env_steps += int(((step.kind == Kind.MID) | (step.kind == Kind.LAST)).sum())
        self.progress.recent += (step.success[step.last] == Success.YES).astype(int).tolist()
        del self.progress.recent[:-WINDOW]

    def _noisy(self) -> float:
        """Success of the last exploring episodes. A window over segments: what ends first is mostly successes."""
        recent = self.progress.recent
        return float(np.mean(recent)) if recent else float("nan")

    def _learn(self, step: Step, action: Action) -> None:
        self._count(step, action)
        due = int(self.config.utd * (self.progress.env_steps - self.progress.warmup_steps))
        while self.progress.updates < due:
            self.learner.pace(self._done, self.progress.updates)
            self._metrics |= self.learner.update(self._batch(self._demo_share()))
            self.progress.updates += 1
            if self.progress.updates % REPORTED == 0:
                self._report()

    def _report(self) -> None:
        progress, elapsed = self.progress, time.monotonic() - self._started
        pace = {"env_steps_per_s": progress.env_steps / elapsed, "updates_per_s": progress.updates / elapsed}
        self.sink.write(progress.env_steps, self._numbers() | pace | {"noisy_success": self._noisy()})

    def _numbers(self) -> dict[str, float]:
        """The learner's latest."""
        return {key: float(value) for key, value in self._metrics.items()}

    def _demo_share(self) -> float:
        config = self.config
        done = min(1.0, self.progress.env_steps / (config.steps * config.demo_decay))
        return config.demo_share + (config.demo_share_end - config.demo_share) * done

    def _batch(self, demo_share: float) -> Batch:
        rule, config = self.learner.config, self.config
        demo = self._rows_of_demos(demo_share)
        how = (self._rng, rule.n_step, rule.gamma, rule.actions)
        parts = [self.replay.sample(config.batch - demo, *how)]
        if demo:
            parts.append(self.demos.sample(demo, *how))
        return Batch.concatenate(parts)

    def _rows_of_demos(self, share: float) -> int:
        """Of a batch; none where nobody demonstrated anything."""
        return round(self.config.batch * share) if self.demos.transitions else 0

    # -- warm-up -------------------------------------------------------------------------------------------------

    def _warm_up(self) -> None:
        """Base episodes with the noise ladder, the critic on their returns and on TD targets, until the gate opens."""
        gamma, config, progress = self.learner.config.gamma, self.config, self.progress
        self._begin(seed_of(Role.TRAIN, self.seed))
        self._collect(self.replay, seed_of(Role.TRAIN, self.seed), config.warmup_episodes)
        if config.warmup_rounds:
            self._collect(self.held_out, seed_of(Role.HOLD_OUT, self.seed), config.held_out_episodes)
        for replay in (self.replay, self.held_out, self.demos):
            replay.label_returns(gamma)
        progress.warmup_steps = progress.env_steps
        self._imitate()
        progress.gate = "none" if not config.warmup_rounds else self._open_gate()
        self.learner.actor_enabled = True
        self.learner.pace(self._done, 0)

    def _imitate(self) -> None:
        """The head on demonstrations, or on the base's episodes where there are none."""
        rule, source = self.learner.config, self.demos if self.demos.transitions else self.replay
        for done in range(1, self.config.imitation_updates + 1):
            if self.interrupted():
                raise KeyboardInterrupt
            batch = source.sample(self.config.batch, self._rng, rule.n_step, rule.gamma, rule.actions)
            self._metrics |= self.learner.imitate(batch)
            if done % REPORTED == 0:
                self.sink.write(self.progress.env_steps, {"imitation_updates": done} | self._numbers())

    def _open_gate(self) -> str:
        """Rounds of warming up the critic until it passes; says how that ended."""
        config = self.config
        for round_ in range(config.warmup_rounds):
            self._warm_critic()
            reading = self._read_gate()
            self.sink.write(self.progress.env_steps, {"gate": f"round {round_ + 1}: {reading}"})
            if reading.passes(config.gate):
                return f"open ({reading})"
        return f"forced after {config.warmup_rounds} rounds ({reading})"

    def _collect(self, replay: Replay, start: int, episodes: int) -> None:
        """Episodes until there are `episodes`, with enough of both outcomes or four times as many."""
        outcomes: list[int] = []

        def note(step: Step, action: Action) -> None:
            outcomes.extend((step.success[step.last] == Success.YES).astype(int).tolist())

        while not outcomes or (self._one_sided(outcomes) and len(outcomes) < 4 * episodes):
            seeds = Seeds(start + len(outcomes), episodes)
            self._act(self.prior, lambda step: step.exhausted, seeds, replay.add, self._count, note)

    def _one_sided(self, outcomes: list[int]) -> bool:
        wins = sum(outcomes)
        return min(wins, len(outcomes) - wins) < self.config.warmup_outcomes

    def _warm_critic(self) -> None:
        config = self.config
        labelled = [replay.labelled() for replay in (self.replay, self.demos)]
        for _ in range(config.warmup_updates):
            demo = self._rows_of_demos(config.warmup_demo_share)
            sizes = (config.batch - demo, demo)
            picks = [
                index[self._rng.integers(0, max(1, len(index)), n)] for index, n in zip(labelled, sizes, strict=True)
            ]
            sources = zip((self.replay, self.demos), picks, strict=True)
            parts = [replay.gather(pick, actions=self.learner.config.actions) for replay, pick in sources]
            self._metrics |= self.learner.regress(Batch.concatenate(parts))
        for _ in range(config.warmup_updates):
            self._metrics |= self.learner.update(self._batch(config.warmup_demo_share))

    def _read_gate(self) -> GateReading:
        index = self.held_out.labelled()
        pick = index[self._rng.integers(0, len(index), 2048)]
        return self.learner.gate_reading(self.held_out.gather(pick, actions=self.learner.config.actions))

    def deployed_copy(self) -> dict[str, torch.Tensor]:
        """Weights of what is deployed now, by the name of the network and of the weight."""
        return {
            f"{name}.{key}": value.clone()
            for name, network in self.learner.kept.items()
            for key, value in network.state_dict().items()
        }

    def deploy(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Put back what `deployed_copy` returned."""
        for name, network in self.learner.kept.items():
            network.load_state_dict(
                {key.removeprefix(name + "."): value for key, value in weights.items() if key.startswith(name + ".")}
            )

"""Policies as a stack: a planner, chunked, corrected. Each decorator owns one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from policies.actors import Actor
from policies.lean import Network
from policies.vision import looks
from robo_rl import random
from robo_rl.policy import Planner, Policy
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Obs


class Chunked(Policy):
    """The only owner of an action queue: executes the first `execute` actions of each chunk open loop, then asks for
    the next. A row's queue is dropped when its episode begins, never later, so no stale chunk enters an episode."""

    def __init__(self, planner: Planner, execute: int, act_spec: Feature) -> None:
        if not 1 <= execute <= planner.horizon:
            raise ValueError(f"execute={execute}: must lie in 1..{planner.horizon} (the planner's horizon)")
        self.planner, self.execute, self.act_spec = planner, execute, act_spec
        names, size = act_spec.names, act_spec.shape[0]
        low, high, unit = act_spec.low, act_spec.high, act_spec.unit
        self.extra_spec = Spec(
            {
                "base_action": Feature((size,), "float32", low, high, unit, names),
                "chunk_rest": Feature((execute - 1, size), "float32", low, high, unit, names),
                "chunk_phase": Feature((1,), "float32", 0.0, 1.0),
            }
        )
        steps = np.arange(execute)
        self._ahead = np.minimum(steps[:, None] + steps[1:], execute - 1)  # places of the rest of a chunk
        self._queue = np.zeros((0, execute, size), np.float32)
        self._every = np.zeros(0, np.int64)
        self._index = np.zeros(0, np.int64)
        self._seed = np.zeros(0, np.int64)
        self._tick = np.zeros(0, np.int64)

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        if len(where) != len(self._index):
            n = len(where)
            self._queue, self._every = np.zeros((n, *self._queue.shape[1:]), np.float32), np.arange(n)
            self._index, self._seed, self._tick = (np.zeros(n, np.int64) for _ in range(3))
        self._index[where] = self.execute  # empty
        self._seed[where] = seeds[where]
        self._tick[where] = 0

    def act(self, obs: Obs) -> Action:
        rows = np.flatnonzero(self._index >= self.execute)
        if len(rows):
            draws = random.mix(self._seed[rows], self._tick[rows])
            chunks = self.planner.plan(obs, rows, 1, draws)[:, 0, : self.execute]
            self._queue[rows] = self.act_spec.clip(chunks)
            self._index[rows] = 0
        value = self._queue[self._every, self._index]
        rest = self._queue[self._every[:, None], self._ahead[self._index]]
        phase = (self._index / self.execute).astype(np.float32)[:, None]
        self._index += 1
        self._tick += 1
        return Action(value, {"base_action": value, "chunk_rest": rest, "chunk_phase": phase})

    def state(self) -> dict[str, np.ndarray]:
        state = {"queue": self._queue, "index": self._index, "seed": self._seed, "tick": self._tick}
        return {key: value.copy() for key, value in state.items()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._queue, self._index, self._seed, self._tick = (
            np.array(state[key]) for key in ("queue", "index", "seed", "tick")
        )
        self._every = np.arange(len(self._index))


class Noise(Protocol):
    """Exploration in units of the residual's bound; `std` may be changed between episodes."""

    std: float

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None: ...

    def __call__(self) -> np.ndarray:
        """(N, A) of this tick."""
        ...

    def state(self) -> dict[str, np.ndarray]: ...

    def load(self, state: Mapping[str, np.ndarray]) -> None: ...


class HeldNoise:
    """Gaussian noise held for some ticks: correlated, so that it moves an arm instead of shaking it.

    Each episode takes one rung of a ladder of standard deviations 0 .. `std` (by its seed), so some rows always act
    without noise. Held for 3 to 8 ticks, by the episode's seed.
    """

    kind = "held"
    RUNGS = 4

    def __init__(self, size: int, std: float) -> None:
        self.size, self.std = size, std
        self._seed = np.zeros(0, np.int64)
        self._tick = np.zeros(0, np.int64)

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        if len(where) != len(self._seed):
            self._seed, self._tick = np.zeros(len(where), np.int64), np.zeros(len(where), np.int64)
        self._seed[where], self._tick[where] = seeds[where], 0

    def __call__(self) -> np.ndarray:
        rung = (self._seed % self.RUNGS) / (self.RUNGS - 1)
        hold = 3 + (self._seed // self.RUNGS) % 6
        noise = random.normal(self._seed, self._tick // hold, random.stream("explore"), self.size)
        self._tick += 1
        return (self.std * rung)[:, None] * noise

    def state(self) -> dict[str, np.ndarray]:
        return {"noise_seed": self._seed.copy(), "noise_tick": self._tick.copy()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._seed, self._tick = np.array(state["noise_seed"]), np.array(state["noise_tick"])


class WhiteNoise(HeldNoise):
    """Gaussian noise drawn anew every tick, the same for all rows: what TD3 and SAC explore with."""

    kind = "white"

    def __call__(self) -> np.ndarray:
        noise = random.normal(self._seed, self._tick, random.stream("explore"), self.size)
        self._tick += 1
        return self.std * noise


class UniformNoise(HeldNoise):
    """Uniform in +-`std`, drawn anew every tick: a random policy's."""

    kind = "uniform"

    def __call__(self) -> np.ndarray:
        noise = 2 * random.uniform(self._seed, self._tick, random.stream("explore"), self.size) - 1
        self._tick += 1
        return self.std * noise


NOISES: Mapping[str, type[HeldNoise]] = {kind.kind: kind for kind in (HeldNoise, WhiteNoise, UniformNoise)}


class Residual(Policy):
    """A base under an actor that corrects it. The sum is `Head.executed`, which the learner calls too.

    The base runs along, whatever the actor makes of it: its action, chunk and phase ride in `extra`.

    `share` is the probability, a tick, that the actor is asked at all; it grows during training where the correction
    is let in progressively (Policy Decorator, arXiv 2412.13630).
    """

    def __init__(self, base: Policy, actor: Actor, obs_spec: Spec, noise: Noise | None = None) -> None:
        self.base, self.obs_spec, self.noise = base, obs_spec, noise
        self.extra_spec = base.extra_spec
        self.share = 1.0
        self._std = 0.0 if noise is None else noise.std
        self._network = Network(actor, actor.features.eyes)
        self._eyes = actor.features.eyes
        self._silence = np.zeros((1, len(actor.head.bound)), np.float32)
        self._seed, self._tick = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def pace(self, noise: float, share: float) -> None:
        """As training goes on: exploration as a share of what it began with, and the actor's `share`."""
        if self.noise is not None:
            self.noise.std = self._std * noise
        self.share = share

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        self.base.reset(where, seeds)
        if self.noise is not None:
            self.noise.reset(where, seeds)
        if len(where) != len(self._seed):
            self._seed, self._tick = (np.zeros(len(where), np.int64) for _ in range(2))
        self._seed[where], self._tick[where] = seeds[where], 0

    def act(self, obs: Obs) -> Action:
        action = self.base.act(obs)
        noise = self._silence if self.noise is None else self.noise().astype(np.float32)
        inputs = (self.obs_spec.pack(obs), self.extra_spec.pack(action.extra), noise, *looks(self._eyes, obs))
        value = self._network(*inputs)
        if self.share < 1.0:
            asked = random.uniform(self._seed, self._tick, random.stream("share"), 1) < self.share
            value = np.where(asked, value, action.extra["base_action"])
        self._tick += 1
        return Action(value, action.extra)

    def state(self) -> dict[str, np.ndarray]:
        own = {"share_seed": self._seed.copy(), "share_tick": self._tick.copy()}
        return self.base.state() | own | ({} if self.noise is None else self.noise.state())

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self.base.load(state)
        self._seed, self._tick = np.array(state["share_seed"]), np.array(state["share_tick"])
        if self.noise is not None:
            self.noise.load(state)

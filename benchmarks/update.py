"""Updates a second of the residual learner, against Stable-Baselines3's TD3 and SAC, the same in JAX (SBX), and the
machine's matrix products; and of TD3 and SAC here, against Stable-Baselines3's.

SBX runs in a venv of its own, `build/sbx/venv`, which is made when it is not there; without it its rows have no peer.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import configure
from torch import Tensor

from benchmarks import peers_sbx, untrained
from benchmarks.elsewhere import ROOT, Elsewhere, install
from benchmarks.rows import Row, in_turns
from robo_rl.data.replay import Replay
from robo_rl.learn.actor_critic import ActorCritic

BATCH = 256
VENV, REQUIREMENTS = ROOT / "build/sbx/venv", ("sbx-rl==0.28.0",)
PEERS = ("SB3 TD3", "SB3 SAC", "SBX TD3", "SBX SAC")
TARGET_HEADS = 2  # the target takes the minimum of two heads: the others need not be computed


@dataclass(frozen=True)
class Budget:
    critics: tuple[int, ...] = (2, 5, 10)
    rounds: int = 7
    updates: int = 40  # of a round; even, for the actor learns every other update
    replay: int = 100_000  # transitions


class Ours:
    """`update` on batches drawn from a `Replay` (the residual: 3-step returns)."""

    def __init__(self, learner: ActorCritic, replay: Replay, updates: int) -> None:
        self.learner, self.replay, self.updates = learner, replay, updates
        self._rng = np.random.default_rng(0)

    def __call__(self, number: int) -> float:
        rule, start = self.learner.config, time.perf_counter()
        for _ in range(self.updates):
            self.learner.update(self.replay.sample(BATCH, self._rng, rule.n_step, rule.gamma))
        return self.updates / (time.perf_counter() - start)


class Sizes(gymnasium.Env):
    """Nothing but spaces of the sizes that the residual learner's networks see."""

    def __init__(self, observation: int, action: int) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (observation,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (action,), np.float32)


class Peer:
    """`stable_baselines3`'s TD3 or SAC: they, too, sample their own replay buffer. TD3 moves its actor every other
    update, SAC at each."""

    def __init__(self, algorithm: type[TD3] | type[SAC], critics: int, capacity: int, updates: int) -> None:
        self.updates = updates
        env: Any = Sizes(*_feature_sizes())
        nets = {"net_arch": list(untrained.HIDDEN), "n_critics": critics}
        rest: dict[str, Any] = {"buffer_size": capacity, "batch_size": BATCH, "policy_kwargs": nets, "device": "cpu"}
        self.model: Any = algorithm("MlpPolicy", env, **rest)
        self.model.set_logger(configure(None, []))
        self._fill(np.random.default_rng(0))

    def __call__(self, number: int) -> float:
        start = time.perf_counter()
        self.model.train(gradient_steps=self.updates, batch_size=BATCH)
        return self.updates / (time.perf_counter() - start)

    def _fill(self, rng: np.random.Generator) -> None:
        buffer: Any = self.model.replay_buffer
        for name in ("observations", "next_observations", "actions"):
            array = getattr(buffer, name)
            array[:] = np.clip(rng.standard_normal(array.shape, np.float32), -1, 1)
        buffer.rewards[:], buffer.full = rng.random(buffer.rewards.shape) < 0.01, True


class Jax:
    """SBX's TD3 or SAC in a process of its own."""

    def __init__(self, python: str, algorithm: str, critics: int, capacity: int, updates: int) -> None:
        self.updates, sizes = updates, (*_feature_sizes(), untrained.HIDDEN[0], critics, BATCH, capacity)
        self._process = Elsewhere(Path(python), peers_sbx.__file__, algorithm, *sizes)
        self.close = self._process.close

    def __call__(self, number: int) -> float:
        return self.updates / self._process.ask(self.updates)[0]


Product = tuple[int, int, int, int]
"""heads, rows, inner, columns: `heads` matrix products (rows, inner) x (inner, columns)."""


def products(heads: int) -> tuple[list[Product], list[Product]]:
    """The matrix products that every update needs, and those of an actor update (every other one)."""
    features, actions = _feature_sizes()
    critic, head = [features + 2 * actions, *untrained.HIDDEN, 1], [features, *untrained.HIDDEN, actions]
    update = _forward(1, head) + _forward(min(TARGET_HEADS, heads), critic)  # the target
    update += _forward(heads, critic) + _weights(heads, critic) + _inputs(heads, critic[1:])
    actor = 2 * _forward(1, head) + _weights(1, head) + _inputs(1, head[1:])  # once more to measure the step
    actor += 2 * _forward(heads, critic)  # at the correction, and at the base's action
    actor += _inputs(heads, [2 * actions, *critic[1:]])  # the gradient of the action alone
    return update, actor


def _layers(sizes: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(sizes[:-1], sizes[1:], strict=True))


def _forward(heads: int, sizes: Sequence[int]) -> list[Product]:
    return [(heads, BATCH, fan_in, fan_out) for fan_in, fan_out in _layers(sizes)]


def _weights(heads: int, sizes: Sequence[int]) -> list[Product]:
    """Gradients of the weights."""
    return [(heads, fan_in, BATCH, fan_out) for fan_in, fan_out in _layers(sizes)]


def _inputs(heads: int, sizes: Sequence[int]) -> list[Product]:
    """Gradients of the layers' inputs."""
    return [(heads, BATCH, fan_out, fan_in) for fan_in, fan_out in _layers(sizes)]


def flops(heads: int) -> float:
    """Of the products of one update, the actor's at one half."""
    update, actor = (sum(2.0 * h * m * k * n for h, m, k, n in part) for part in products(heads))
    return update + actor / 2


class Bound:
    """The matrix products of an update and nothing else, each the fastest way that PyTorch has for its shape."""

    def __init__(self, heads: int, updates: int) -> None:
        self.updates = updates
        update, actor = products(heads)
        fastest = {product: _fastest(product) for product in {*update, *actor}}
        self._update, self._actor = ([fastest[product] for product in part] for part in (update, actor))

    @torch.no_grad()
    def __call__(self, number: int) -> float:
        start = time.perf_counter()
        for index in range(self.updates):
            for multiply in self._update:
                multiply()
            if index % 2:
                for multiply in self._actor:
                    multiply()
        return self.updates / (time.perf_counter() - start)


def _fastest(product: Product) -> Callable[[], Any]:
    heads, rows, inner, columns = product
    left, right = torch.randn(heads, rows, inner), torch.randn(heads, inner, columns)
    out = torch.empty(heads, rows, columns)
    ways: list[Callable[[], Any]] = [lambda: torch.bmm(left, right, out=out), lambda: _one_by_one(left, right, out)]
    return min(ways, key=_seconds)


def _one_by_one(left: Tensor, right: Tensor, out: Tensor) -> None:
    for a, b, c in zip(left, right, out, strict=True):
        torch.mm(a, b, out=c)


@torch.no_grad()
def _seconds(action: Callable[[], Any], repeat: int = 7) -> float:
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _feature_sizes() -> tuple[int, int]:
    """Of what critic and correction see: features and actions."""
    return untrained.feature_size(untrained.make_bundle()), untrained.specs()[1].size


def measure(budget: Budget = Budget(), venv: Path = VENV) -> list[Row]:
    """Rows for every number of critics, one a peer; all candidates take turns."""
    replay, capacity = untrained.fill_replay(budget.replay), min(budget.replay, 20_000)
    python = _jax(venv)
    candidates: dict[str, Callable[[int], float]] = {}
    with ExitStack() as stack:
        for heads in budget.critics:
            candidates[f"ours {heads}"] = Ours(untrained.make_learner(heads), replay, budget.updates)
            candidates[f"bound {heads}"] = Bound(heads, budget.updates)
            for name in untrained.ALIKE:
                candidates[f"{name} {heads}"] = Ours(untrained.make_alike(name, heads), replay, budget.updates)
            for kind in (TD3, SAC):
                candidates[f"SB3 {kind.__name__} {heads}"] = Peer(kind, heads, capacity, budget.updates)
            for name in ("TD3", "SAC") if python else ():
                peer = Jax(str(python), name, heads, capacity, budget.updates)
                stack.callback(peer.close)
                candidates[f"SBX {name} {heads}"] = peer
        rates = in_turns(candidates, budget.rounds)
    rows = [_row(heads, peer, rates) for heads in budget.critics for peer in PEERS]
    return rows + [_alike(heads, name, rates) for heads in budget.critics for name in untrained.ALIKE]


def _jax(venv: Path) -> Path | None:
    try:
        return install(venv, REQUIREMENTS)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"benchmarks: no SBX here: {error}", file=sys.stderr)
        return None


def _row(heads: int, peer: str, rates: dict[str, float]) -> Row:
    bound = rates[f"bound {heads}"]
    speed = bound * flops(heads) / 1e9
    note = (
        f"critic updates, batch {BATCH}, 256x256, an actor update every other one, sampling included (peers too); "
        f"{torch.get_num_threads()} threads; bound: the update's matrix products alone, {flops(heads) / 1e9:.2f} GFLOP "
        f"at {speed:.0f} GFLOP/s, {min(TARGET_HEADS, heads)} target heads"
    )
    name = f"update critics={heads}" + ("" if peer == PEERS[0] else f", {peer}")
    value, other = rates[f"ours {heads}"], rates.get(f"{peer} {heads}")
    if other is None:
        return Row(name, value, "updates/s", None, None, bound, f"{note}; SBX is not installed")
    return Row(name, value, "updates/s", peer, other, bound, note)


def _alike(heads: int, algorithm: str, rates: dict[str, float]) -> Row:
    name, peer = f"update {algorithm.lower()} critics={heads}", f"SB3 {algorithm}"
    note = "the same algorithm, without LayerNorm; the target is the least of two heads, the actor climbs all of them"
    return Row(name, rates[f"{algorithm} {heads}"], "updates/s", peer, rates[f"{peer} {heads}"], None, note)

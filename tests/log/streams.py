"""Streams of steps and recordings to test with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from robo_rl.env import RigEnv
from robo_rl.log.reader import Log, find_logs, read_log
from robo_rl.log.recorder import Recorder
from robo_rl.loop import run
from robo_rl.seeds import Seeds
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Kind, Reason, Step
from tests.fakes import GoalPolicy, PointRig, ReachTask

Tick = tuple[Step, Action]


class Tape:
    """An observer that keeps what it sees."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []

    def __call__(self, step: Step, action: Action) -> None:
        self.ticks.append((step, action))


def play(folder: Path, n: int = 1, episodes: int = 3, start: int = 0, home_ticks: int = 1, **options: Any) -> Tape:
    """Record point-mass episodes through the loop; returns what the loop showed."""
    env, tape = RigEnv(PointRig(n, home_ticks), ReachTask(n)), Tape()
    meta = {"task": "reach", "robot": "point", **options.pop("meta", {})}
    with Recorder(folder, env.obs_spec, env.act_spec, Spec({}), meta, env.dt, **options) as recorder:
        run(env, GoalPolicy(n, 0.1), lambda step: step.exhausted, Seeds(start, episodes), [tape, recorder])
    return tape


def logs(folder: Path) -> list[Log]:
    return [read_log(path) for path in find_logs(folder)]


def rows_of(tape: Tape, row: int, seed: int) -> list[Tick]:
    """The ticks of an episode, from FIRST to LAST."""
    return [tick for tick in tape.ticks if tick[0].seed[row] == seed and tick[0].kind[row] != Kind.RESET]


def constant(spec: Spec, act: Feature, extra: Spec, kinds: Iterable[Kind], rng: np.random.Generator) -> list[Tick]:
    """Random ticks of one row and one episode with these kinds; every bit pattern but non-finite ones."""
    return [
        (_step(spec, act, kind, rng), Action(bits(act, rng), {k: bits(f, rng) for k, f in extra.items()}))
        for kind in kinds
    ]


def _step(spec: Spec, act: Feature, kind: Kind, rng: np.random.Generator) -> Step:
    reason = Reason.SUCCESS if kind == Kind.LAST else Reason.RUNNING
    return Step(
        obs={key: bits(feature, rng) for key, feature in spec.items()},
        reward=rng.standard_normal(1).astype(np.float32),
        discount=np.full(1, kind != Kind.LAST, np.float32),
        kind=np.full(1, kind, np.uint8),
        applied=bits(act, rng),
        success=np.full(1, -1, np.int8),
        reason=np.full(1, reason, np.uint8),
        seed=np.full(1, 2**60 + 1, np.int64),
        stamp={key: rng.standard_normal(1) for key in list(spec)[:1]},
    )


def bits(feature: Feature, rng: np.random.Generator) -> np.ndarray:
    """One row of random bits, (1, *shape); not-a-number becomes zero, a bool is 0 or 1."""
    dtype = np.dtype(feature.dtype)
    raw = np.frombuffer(rng.bytes(feature.size * dtype.itemsize), dtype if dtype.kind != "b" else np.uint8)
    if dtype.kind == "b":
        raw = raw % 2 == 1
    if dtype.kind == "f":
        raw = np.where(np.isnan(raw), dtype.type(0), raw)
    return raw.reshape(1, *feature.shape).astype(dtype)


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Equal bit by bit, with dtype and shape."""
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()

"""Shared by the simulation's tests: the description, and a way to run episodes of so101/insert_peg."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hardware.guard import Guard
from robo_rl.env import RigEnv
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.robot import RobotDescription
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Step
from sim.experts.insert_peg import InsertPegExpert
from sim.tasks.insert_peg import InsertPeg, make_rig

DESCRIPTION = Path(__file__).parents[2] / "configs/description/so101.yaml"


def _make_env(n: int, nthread: int = 2, guarded: bool = True) -> RigEnv:
    guard = Guard(RobotDescription.load(DESCRIPTION), n) if guarded else None
    rig = make_rig(DESCRIPTION, n, nthread, guard)
    return RigEnv(rig, InsertPeg(rig.world))


def _episodes(
    env: RigEnv, policy: Policy, start: int, count: int, observe: Callable[[Step, Action], None] = lambda s, a: None
) -> dict[int, tuple[int, int]]:
    """{seed: (success, reason)} of `count` episodes."""
    results: dict[int, tuple[int, int]] = {}

    def note(step: Step, action: Action) -> None:
        observe(step, action)
        for row in np.flatnonzero(step.last):
            results[int(step.seed[row])] = int(step.success[row]), int(step.reason[row])

    run(env, policy, lambda step: len(results) >= count, Seeds(start, count), [note])
    return results


@pytest.fixture
def description() -> RobotDescription:
    return RobotDescription.load(DESCRIPTION)


@pytest.fixture
def make_env() -> Callable[..., RigEnv]:
    """make_env(n, nthread=2, guarded=True): so101/insert_peg."""
    return _make_env


@pytest.fixture
def expert() -> Callable[[int], InsertPegExpert]:
    """expert(n)."""
    return lambda n: InsertPegExpert(n, DESCRIPTION)


@pytest.fixture
def episodes() -> Callable[..., dict[int, tuple[int, int]]]:
    """episodes(env, policy, start, count, observe=...): {seed: (success, reason)}."""
    return _episodes

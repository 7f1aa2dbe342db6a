"""Seeds of roles and of rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from robo_rl.errors import UserError
from robo_rl.seeds import PER_RUN, RUNS, Role, Seeds, seed_of
from robo_rl.types import NO_SEED


def test_roles_and_runs_never_overlap() -> None:
    starts = [seed_of(role, run) for role, run in itertools.product(Role, (0, 1, RUNS - 1))]
    gaps = np.diff(sorted(starts))
    assert gaps.min() >= PER_RUN and max(starts) < 2**62


@pytest.mark.parametrize("run", [-1, RUNS])
def test_a_run_outside_the_range_is_refused(run: int) -> None:
    with pytest.raises(UserError, match=f"seed={run}"):
        seed_of(Role.TRAIN, run)


def test_rows_take_seeds_in_order_until_none_is_left() -> None:
    seeds = Seeds(10, 4)
    assert seeds.take(np.array([True, False, True])).tolist() == [10, NO_SEED, 11]
    assert seeds.take(np.array([True, True, True])).tolist() == [12, 13, NO_SEED]
    assert seeds.take(np.ones(3, bool)).tolist() == [NO_SEED] * 3


def test_endless_seeds() -> None:
    seeds = Seeds(0)
    assert [seeds.take(np.ones(2, bool)).tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]

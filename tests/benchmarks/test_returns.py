"""The comparison of returns: its interval, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.returns import _require_alike, interval, main
from robo_rl.errors import UserError


def test_the_interval_is_students():
    values = [3100.0, 2800.0, 3900.0]
    wanted = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert interval(values) == pytest.approx(wanted)


@pytest.mark.parametrize("keys", [{"seeds": "1"}, {"steps": "10000"}, {"seeds": "three"}, {"envs": "x"}])
def test_bad_keys_are_refused_before_anything_is_written(keys: dict[str, str], tmp_path: Path):
    with pytest.raises(UserError, match=next(iter(keys))):
        main(dict(keys), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_comparison_of_unequal_budgets_is_refused():
    _require_alike("HalfCheetah-v5", 39_800, 40_000)
    with pytest.raises(UserError, match="env_id=Hopper-v5: 49500 updates, 40000 of SB3's"):
        _require_alike("Hopper-v5", 49_500, 40_000)

"""Two policies behind one face."""

from __future__ import annotations

import numpy as np
import pytest

from policies.blind import COMPARED, Blind, order_of
from policies.override import Hold
from robo_rl.errors import SpecMismatch
from robo_rl.policy import Policy
from robo_rl.spec import Feature, Spec
from tests.contract.policy import PolicyContract
from tests.fakes import ConstantPolicy, GoalPolicy

ACT = Feature((2,), "float32", -1.0, 1.0, "m", ("x", "y"))


class TestContract(PolicyContract):
    """Both policies are the same, so that which one acts makes no difference to what the contract looks at."""

    obs_spec, act_spec = Spec({"goal": ACT}), ACT

    def make(self, n: int) -> Policy:
        return Blind([GoalPolicy(1, 0.1), GoalPolicy(1, 0.1)], 0) if n == 1 else GoalPolicy(n, 0.1)


def played(blind: Blind, episodes: int) -> list[float]:
    """What each episode's first action is."""
    found = []
    for seed in range(episodes):
        blind.reset(np.ones(1, bool), np.array([seed]))
        action = blind.act({"applied": np.zeros((1, 2), np.float32)})
        assert action.extra[COMPARED][0, 0] == action.value[0, 0]
        found.append(float(action.value[0, 0]))
    return found


def both(seed: int, episode: int = 0) -> Blind:
    return Blind([ConstantPolicy(np.full((1, 2), value, np.float32)) for value in (0.0, 1.0)], seed, episode)


def test_each_pair_has_both_in_an_order_of_the_seed() -> None:
    order = played(both(3), 200)
    pairs = list(zip(order[::2], order[1::2], strict=True))
    assert all(sorted(pair) == [0.0, 1.0] for pair in pairs)
    assert 30 < sum(pair == (0.0, 1.0) for pair in pairs) < 70
    assert order == played(both(3), 200) != played(both(4), 200)
    assert pairs == [order_of(3, pair) for pair in range(100)]


def test_it_goes_on_where_it_was() -> None:
    whole = played(both(5), 9)
    assert played(both(5, 4), 5) == whole[4:]
    one, other = both(5), both(5)
    played(one, 3)
    other.load(one.state())
    assert played(other, 6) == whole[3:]


def test_policies_of_unlike_extras_are_refused() -> None:
    with pytest.raises(SpecMismatch, match="carry the same"):
        Blind([Hold(), both(0)], 0)

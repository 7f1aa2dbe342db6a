"""Two policies behind one face: which one acts in an episode is drawn, and nobody who watches is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from robo_rl import random
from robo_rl.errors import SpecMismatch
from robo_rl.policy import Policy
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Obs

COMPARED = "compared"


def order_of(seed: int, pair: int) -> tuple[int, int]:
    """Which of two policies acts first and which second in a pair of episodes; a coin toss of the comparison's seed."""
    first = int(random.bits(np.array([seed]), pair, random.stream("blind"), 1)[0, 0] & np.uint64(1))
    return first, 1 - first


class Blind(Policy):
    """Episodes 2 k and 2 k + 1 go to one policy each, in the order that `order_of` draws; one row.

    `extra` has `compared`, the number of the policy that acted: for the log, not for the eyes.

    Args:
        policies: two, with equal `extra_spec`.
        seed: of the order.
        episode: number of the first episode; a comparison that goes on begins behind those it has.
    """

    def __init__(self, policies: Sequence[Policy], seed: int, episode: int = 0) -> None:
        if len(policies) != 2 or policies[0].extra_spec != policies[1].extra_spec:
            raise SpecMismatch("compare: needs two policies whose actions carry the same")
        self.policies, self.extra_spec = tuple(policies), policies[0].extra_spec
        self.extra_spec = self.extra_spec | Spec({COMPARED: Feature((1,), "float32", 0.0, 1.0)})
        self._seed, self._next, self.acting = seed, episode, 0

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        if len(where) != 1:
            raise ValueError(f"Blind: one row is needed, got {len(where)}")
        if where[0]:
            self.acting = order_of(self._seed, self._next // 2)[self._next % 2]
            self._next += 1
            self.policies[self.acting].reset(where, seeds)

    def act(self, obs: Obs) -> Action:
        action = self.policies[self.acting].act(obs)
        return Action(action.value, {**action.extra, COMPARED: np.full((1, 1), self.acting, np.float32)})

    def state(self) -> dict[str, np.ndarray]:
        own = {"blind_next": np.array(self._next), "blind_acting": np.array(self.acting)}
        parts = enumerate(self.policies)
        return own | {f"blind_{n}_{key}": value for n, policy in parts for key, value in policy.state().items()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._next, self.acting = int(state["blind_next"]), int(state["blind_acting"])
        for number, policy in enumerate(self.policies):
            prefix = f"blind_{number}_"
            policy.load({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})

"""Fitted Q evaluation on a chain whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robo_rl.learn.fqe import FQEConfig, Stretches, fit

LENGTH, EPISODES = 3, 200
SMALL = FQEConfig(heads=3, hidden=32, updates=300)


def chain(wanted: float) -> Stretches:
    """Three stretches; each is survived with probability 0.9 after the action +1, with 0.5 after -1. Who survives all
    has succeeded. Logged actions are random; the judged policy always takes `wanted`."""
    rng = np.random.default_rng(0)
    rows = []
    for episode in range(EPISODES):
        for place in range(LENGTH):
            action = rng.choice([-1.0, 1.0])
            survived = rng.random() < (0.9 if action > 0 else 0.5)
            rows.append((place, action, survived and place == LENGTH - 1, not survived or place == LENGTH - 1, episode))
            if not survived:
                break
    place, action, success, last, episode = map(np.array, zip(*rows, strict=True))
    state = np.stack([place, np.ones(len(place))], axis=1).astype(float)
    return Stretches(state, action[:, None], np.full((len(place), 1), wanted), success, last, episode)


def survival(data: Stretches, action: float) -> float:
    """What always taking `action` comes to in the chain whose survival rates are those of the data."""
    alive = ~data.last | data.success
    taken = data.action[:, 0] == action
    return float(np.prod([alive[taken & (data.state[:, 0] == place)].mean() for place in range(LENGTH)]))


@pytest.mark.parametrize("wanted", [1.0, -1.0])
def test_estimates_a_policy_that_nobody_ran(wanted):
    data = chain(wanted)
    values = fit(data, np.ones(EPISODES, bool), SMALL, seed=0)
    assert values.shape == (3, EPISODES)
    assert values.mean() == pytest.approx(survival(data, wanted), abs=0.07)
    assert values.mean(1).std() > 0  # heads saw other episodes


def test_does_not_learn_from_what_it_is_told_to_leave_out():
    data, short = chain(1.0), replace(SMALL, updates=40)
    learn = np.arange(EPISODES) < 150
    spoilt = replace(data, success=data.success & learn[data.episode])
    assert np.array_equal(fit(data, learn, short, 1), fit(spoilt, learn, short, 1))
    assert not np.array_equal(fit(data, learn, short, 1), fit(data, ~learn, short, 1))


def test_stops_when_asked():
    with pytest.raises(KeyboardInterrupt):
        fit(chain(1.0), np.ones(EPISODES, bool), SMALL, 0, stop=lambda: True)

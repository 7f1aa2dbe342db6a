"""What every `Policy` promises."""

from __future__ import annotations

import numpy as np

from robo_rl.policy import Policy
from robo_rl.spec import Feature, Spec


class PolicyContract:
    """Hooks: `make(n)`, `obs_spec`, `act_spec`; `tolerance` between different N, `row_tolerance` where the same rows
    are computed in other company."""

    obs_spec: Spec
    act_spec: Feature
    tolerance = 1e-5
    row_tolerance = 0.0

    def make(self, n: int) -> Policy:
        raise NotImplementedError

    def play(self, policy: Policy, seeds: np.ndarray, ticks: int = 5) -> list[np.ndarray]:
        """Actions over time; a row's observations are a function of its seed and the tick."""
        policy.reset(np.ones(len(seeds), bool), seeds)
        return [policy.act(self.observe(seeds, tick)).value for tick in range(ticks)]

    def observe(self, seeds: np.ndarray, tick: int) -> dict[str, np.ndarray]:
        rows = [self.obs_spec.sample(1, np.random.default_rng([int(seed), tick])) for seed in seeds]
        return {key: np.concatenate([row[key] for row in rows]) for key in self.obs_spec}

    def test_actions_fit_the_spec(self) -> None:
        for n in (1, 3):
            policy, seeds = self.make(n), np.arange(n)
            policy.reset(np.ones(n, bool), seeds)
            action = policy.act(self.observe(seeds, 0))
            assert action.value.shape == (n, *self.act_spec.shape)
            assert action.value.dtype == np.float32 and np.isfinite(action.value).all()
            policy.extra_spec.validate(dict(action.extra), n)

    def test_observations_are_left_alone(self) -> None:
        policy, seeds = self.make(2), np.arange(2)
        policy.reset(np.ones(2, bool), seeds)
        obs = self.observe(seeds, 0)
        copy = {key: value.copy() for key, value in obs.items()}
        policy.act(obs)
        assert all(np.array_equal(obs[key], copy[key]) for key in copy)

    def test_behaviour_is_a_function_of_seed_and_observations(self) -> None:
        seeds = np.array([5, 6, 7])
        policy = self.make(3)
        first = self.play(policy, seeds)
        assert all(np.array_equal(a, b) for a, b in zip(first, self.play(policy, seeds), strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(first, self.play(self.make(3), seeds), strict=True))

    def test_rows_do_not_see_one_another(self) -> None:
        together = self.play(self.make(3), np.array([5, 6, 7]))
        alone = self.play(self.make(1), np.array([6]))
        assert all(np.allclose(a[1], b[0], atol=self.tolerance) for a, b in zip(together, alone, strict=True))

    def test_reset_of_one_row_leaves_the_others(self) -> None:
        seeds, policy = np.array([5, 6]), self.make(2)
        undisturbed = self.play(self.make(2), seeds, 4)
        policy.reset(np.ones(2, bool), seeds)
        for tick in range(4):
            if tick == 2:
                policy.reset(np.array([False, True]), np.array([5, 99]))
            value = policy.act(self.observe(seeds, tick)).value
            np.testing.assert_allclose(value[0], undisturbed[tick][0], rtol=0, atol=self.row_tolerance)

    def test_state_resumes(self) -> None:
        seeds, policy, other = np.array([5, 6]), self.make(2), self.make(2)
        self.play(policy, seeds, 3)
        other.reset(np.ones(2, bool), seeds)
        other.load(policy.state())
        for tick in range(3, 6):
            obs = self.observe(seeds, tick)
            assert np.array_equal(policy.act(obs).value, other.act(obs).value)

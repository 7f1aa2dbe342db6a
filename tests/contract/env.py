"""What every `Env` promises. Inherit, define `make`, and name the class `Test...`."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from robo_rl.env import Env
from robo_rl.seeds import Seeds
from robo_rl.types import NO_SEED, Kind, Reason, Step

FOLLOWERS = {
    Kind.FIRST: {Kind.MID, Kind.LAST},
    Kind.MID: {Kind.MID, Kind.LAST},
    Kind.LAST: {Kind.FIRST, Kind.RESET},
    Kind.RESET: {Kind.RESET, Kind.FIRST},
}
Actor = Callable[[Env, Step, np.random.Generator], np.ndarray]


def random_action(env: Env, step: Step, rng: np.random.Generator) -> np.ndarray:
    """Actions within bounds, (N, A)."""
    return env.act_spec.clip(rng.uniform(-1, 1, (env.n, *env.act_spec.shape)))


def garbage_when_not_live(env: Env, step: Step, rng: np.random.Generator) -> np.ndarray:
    """The same actions for live rows, not-a-number for all others."""
    action = random_action(env, step, rng)
    action[~step.live] = np.nan
    return action


def snapshot(step: Step) -> dict[str, np.ndarray]:
    """Copies of everything in a step."""
    arrays = {
        name: getattr(step, name) for name in ("reward", "discount", "kind", "applied", "success", "reason", "seed")
    }
    return {name: value.copy() for name, value in {**arrays, **step.obs}.items()}


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left)


class EnvContract:
    """Hooks: `make(n)`, `sizes` to test, `ticks` that are enough for two episodes a row."""

    sizes: tuple[int, ...] = (1, 3)
    ticks = 60
    episodes = 4

    def make(self, n: int) -> Env:
        raise NotImplementedError

    def play(self, n: int, seeds: Seeds, ticks: int | None = None, act: Actor = random_action) -> list[Step]:
        """Steps of `ticks` ticks, or until no seed is left."""
        env, rng, steps = self.make(n), np.random.default_rng(0), []
        try:
            step = env.reset(np.ones(n, bool), seeds)
            steps.append(step)
            while not step.exhausted and len(steps) < (ticks or 10_000):
                env.send(act(env, step, rng))
                step = env.recv()
                steps.append(step)
        finally:
            env.close()
            env.close()
        return steps

    def test_steps_fit_the_spec(self) -> None:
        for n in self.sizes:
            env = self.make(n)
            for step in self.play(n, Seeds(3), self.ticks):
                env.obs_spec.validate({key: step.obs[key] for key in env.obs_spec}, n)
                assert step.applied.shape == (n, *env.act_spec.shape)
                for name, dtype in (("reward", "float32"), ("discount", "float32"), ("applied", "float32")):
                    assert getattr(step, name).dtype == dtype and np.isfinite(getattr(step, name)).all(), name
                for name, dtype in (("kind", "uint8"), ("reason", "uint8"), ("success", "int8"), ("seed", "int64")):
                    assert getattr(step, name).dtype == dtype and getattr(step, name).shape == (n,), name
                assert all(stamp.shape == (n,) for stamp in step.stamp.values())
            env.close()

    def test_kinds_follow_one_another(self) -> None:
        for n in self.sizes:
            steps = self.play(n, Seeds(0), self.ticks)
            assert set(steps[0].kind.tolist()) <= {Kind.FIRST, Kind.RESET}
            for before, after in itertools.pairwise(steps):
                for row in range(n):
                    assert Kind(int(after.kind[row])) in FOLLOWERS[Kind(int(before.kind[row]))]
            assert any(step.last.any() for step in steps), "no episode ended: raise `ticks`"

    def test_termination_is_discount_zero_and_truncation_one(self) -> None:
        for step in self.play(self.sizes[-1], Seeds(0), self.ticks):
            assert np.array_equal(step.last, step.reason != Reason.RUNNING)
            truncated = ~step.last | (step.reason == Reason.TIMEOUT) | (step.reason == Reason.DIVERGED)
            assert np.array_equal(step.discount == 1, truncated)
            assert set(step.discount.tolist()) <= {0.0, 1.0}

    def test_first_and_reset_answer_no_action(self) -> None:
        for step in self.play(self.sizes[-1], Seeds(0), self.ticks):
            still = step.first | (step.kind == Kind.RESET)
            assert (step.reward[still] == 0).all()
            assert (step.applied[step.first] == 0).all()

    def test_actions_of_rows_that_are_not_live_are_ignored(self) -> None:
        for n in self.sizes:
            plain = self.play(n, Seeds(0), self.ticks)
            garbage = self.play(n, Seeds(0), self.ticks, garbage_when_not_live)
            assert all(same(snapshot(a), snapshot(b)) for a, b in zip(plain, garbage, strict=True))

    def test_every_seed_runs_exactly_once(self) -> None:
        for n in self.sizes:
            steps = self.play(n, Seeds(7, self.episodes))
            firsts = [int(seed) for step in steps for seed in step.seed[step.first]]
            lasts = [int(seed) for step in steps for seed in step.seed[step.last]]
            assert sorted(firsts) == sorted(lasts) == list(range(7, 7 + self.episodes))
            assert steps[-1].exhausted and (steps[-1].seed == NO_SEED).all()

    def test_steps_are_not_written_to_afterwards(self) -> None:
        env, rng = self.make(self.sizes[-1]), np.random.default_rng(0)
        step = env.reset(np.ones(env.n, bool), Seeds(0))
        kept = [(step, snapshot(step))]
        for _ in range(self.ticks):
            env.send(random_action(env, step, rng))
            step = env.recv()
            kept.append((step, snapshot(step)))
        env.close()
        assert all(same(snapshot(step), copy) for step, copy in kept)

    def test_reset_starts_over(self) -> None:
        env = self.make(self.sizes[-1])
        where = np.ones(env.n, bool)
        first = snapshot(env.reset(where, Seeds(0)))
        assert set(first["kind"].tolist()) <= {Kind.FIRST, Kind.RESET}
        env.send(np.zeros((env.n, *env.act_spec.shape), np.float32))
        again = env.reset(where, Seeds(11))
        assert again.seed.tolist() == list(range(11, 11 + env.n))
        env.close()

    def test_a_partial_reset_leaves_the_other_rows(self) -> None:
        n = self.sizes[-1]
        if n == 1:
            return
        plain, disturbed, where = self.make(n), self.make(n), np.arange(n) > 0
        for env in (plain, disturbed):
            env.reset(np.ones(n, bool), Seeds(0))
        for tick in range(6):
            for env in (plain, disturbed):
                env.send(np.full((n, *env.act_spec.shape), 0.1, np.float32))
            left, right = snapshot(plain.recv()), snapshot(disturbed.recv())
            assert all(np.array_equal(left[key][0], right[key][0]) for key in left), tick
            if left["kind"][0] == Kind.LAST:
                break  # its next seed comes from another stream
            if left["kind"][0] == Kind.MID and not where[0]:
                assert disturbed.reset(where, Seeds(50)).seed.tolist() == [0, *range(50, 49 + n)]
                where = np.ones(n, bool)  # once is enough
        plain.close()
        disturbed.close()

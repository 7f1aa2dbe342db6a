"""Replay: a ring of steps, sampled as n-step transitions.

Slot t of a row holds the step at t and what the policy said there; the action that was EXECUTED between t and t + 1
arrives with slot t + 1. So nothing is stored twice, and a transition always has its base_action(s').
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robo_rl.data.episode import Episode
from robo_rl.data.frames import Frames
from robo_rl.policy import Policy
from robo_rl.spec import Spec
from robo_rl.types import Action, Kind, Reason, Step

# An enum's member takes NumPy several times as long as a plain number.
_, _MID, _LAST, _RESET = map(int, Kind)
_DIVERGED = int(Reason.DIVERGED)


@dataclass(frozen=True, slots=True)
class Batch:
    """B transitions. `discount` is gamma^k times the product of the step discounts over the k <= n steps taken."""

    obs: np.ndarray  # (B, obs_spec.vector_size) float32
    extra: np.ndarray  # (B, extra_spec.vector_size) float32
    action: np.ndarray  # (B, A) float32, executed; (B, H * A) where H in a row were asked for
    reward: np.ndarray  # (B,) float32, n-step return without the bootstrap
    discount: np.ndarray  # (B,) float32
    next_obs: np.ndarray
    next_extra: np.ndarray
    to_go: np.ndarray  # (B,) float32, Monte-Carlo return (NaN where the episode's end is not known)
    pictures: np.ndarray | None = None  # (B, C, H, W, 3) uint8, of the replay's cameras; None: it has none
    next_pictures: np.ndarray | None = None

    @staticmethod
    def concatenate(parts: Sequence[Batch]) -> Batch:
        several = {name: [getattr(part, name) for part in parts] for name in Batch.__slots__}
        return Batch(**{name: np.concatenate(values) for name, values in several.items() if values[0] is not None})


class Replay:
    """A ring of `capacity` steps of N rows.

    Memory: 4 * (obs + extra + A + 3) + 2 bytes a step (`bytes_per_step`); observations are not duplicated. Pictures of
    `cameras`, keys of one size, come to H * W * 3 bytes for each that was captured.

    `bootstrap_timeouts=False` takes a time-out for an end, as much code does: for showing what that costs.
    """

    def __init__(
        self,
        obs_spec: Spec,
        extra_spec: Spec,
        action_size: int,
        n: int,
        capacity: int,
        bootstrap_timeouts: bool = True,
        cameras: Sequence[str] = (),
    ) -> None:
        self.obs_spec, self.extra_spec, self.n = obs_spec, extra_spec, n
        self.length = max(2, capacity // n)  # slots a row
        self.bootstrap_timeouts = bootstrap_timeouts
        self._split = obs_spec.vector_size
        width = self._split + extra_spec.vector_size
        shape = (self.length, n)
        self._data = {
            "inputs": np.full((*shape, width), 0, np.float32),  # takes its memory now, not while robots move
            "applied": np.zeros((*shape, action_size), np.float32),
            "reward": np.zeros(shape, np.float32),
            "discount": np.ones(shape, np.float32),
            "to_go": np.full(shape, np.nan, np.float32),
            "kind": np.full(shape, _RESET, np.uint8),
            "start": np.zeros(shape, bool),  # whether a transition starts here
        }
        self._frames = {key: Frames(obs_spec[key].shape, n, self.length) for key in cameras}
        self._head = 0  # next slot to write
        self.steps = 0  # transitions ever added

    @property
    def bytes_per_step(self) -> int:
        """Without pictures."""
        return sum(value.nbytes for value in self._data.values()) // (self.length * self.n)

    @property
    def transitions(self) -> int:
        """Transitions that can be sampled now."""
        return int(self._data["start"].sum())

    def add(self, step: Step, action: Action) -> None:
        """Observe one tick of the loop. Masked (RESET) and diverged steps are never part of a transition."""
        data, head = self._data, self._head
        previous = (head - 1) % self.length
        masked = step.reason == _DIVERGED
        kind = np.where(masked, _RESET, step.kind)
        arrived = (kind == _MID) | (kind == _LAST)
        self.obs_spec.pack(step.obs, out=data["inputs"][head, :, : self._split])
        if len(self.extra_spec):
            self.extra_spec.pack(action.extra, out=data["inputs"][head, :, self._split :])
        for key, frames in self._frames.items():
            frames.add(head, step.obs[key], step.stamp.get(key, np.full(self.n, np.nan)), step.first)
        data["applied"][head] = step.applied
        data["reward"][head] = step.reward
        data["discount"][head] = step.discount if self.bootstrap_timeouts else step.discount * ~step.last
        data["kind"][head] = kind
        data["to_go"][head] = np.nan
        data["start"][head] = False
        data["start"][previous] = arrived & (data["kind"][previous] <= _MID)
        self.steps += int(data["start"][previous].sum())
        self._head = (head + 1) % self.length

    def label_returns(self, gamma: float) -> None:
        """Fill the Monte-Carlo return of every transition whose episode has ended (nothing is earned after its end).

        Transitions of episodes that were cut short, or are still running, get NaN.
        """
        data = self._data
        ahead = np.full(self.n, np.nan, np.float32)  # return from the arrival at slot + 1 on
        for slot in (self._head - 1 - np.arange(self.length)) % self.length:
            kind = data["kind"][slot]
            data["to_go"][slot] = np.where(data["start"][slot], ahead, np.nan)
            after = np.where(kind == _LAST, np.float32(0), data["to_go"][slot])
            ahead = data["reward"][slot] + np.float32(gamma) * data["discount"][slot] * after

    def sample(self, n: int, rng: np.random.Generator, steps: int = 1, gamma: float = 0.99, actions: int = 1) -> Batch:
        """`n` transitions with up to `steps`-step returns, uniformly. Raises ValueError when there are none."""
        return self.gather(self._draw(n, rng), steps, gamma, actions)

    def _draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        start = self._data["start"].ravel()
        found: list[np.ndarray] = []
        for _ in range(20):
            index = rng.integers(0, start.size, 2 * n)
            found.append(index[start[index]])
            if sum(map(len, found)) >= n:
                return np.concatenate(found)[:n]
        index = np.flatnonzero(start)  # a nearly empty ring
        if not len(index):
            raise ValueError("the replay holds no transition")
        return rng.choice(index, n)

    def starts(self) -> np.ndarray:
        """Flat indices of all transitions, oldest slot first, for `gather`."""
        order = (self._head + np.arange(self.length)) % self.length
        slots, rows = np.nonzero(self._data["start"][order])
        return order[slots] * self.n + rows

    def labelled(self) -> np.ndarray:
        """Those of `starts` whose Monte-Carlo return is known (see `label_returns`)."""
        index = self.starts()
        return index[np.isfinite(self._data["to_go"].ravel()[index])]

    def gather(
        self, index: np.ndarray, steps: int = 1, gamma: float = 0.99, actions: int = 1, pictures: bool = True
    ) -> Batch:
        """The transitions that start at flat indices (slot * N + row), with the `actions` executed from there on; an
        episode's last one is repeated. `pictures=False` leaves those out."""
        data = self._data
        flat = {key: value.reshape(self.length * self.n, *value.shape[2:]) for key, value in data.items()}
        size = self.length * self.n
        here, reward = index, np.zeros(len(index), np.float32)
        discount = np.ones(len(index), np.float32)
        going = np.ones(len(index), bool)
        for _ in range(steps):
            ahead = np.where(going, (here + self.n) % size, here)
            reward += np.where(going, discount * flat["reward"][ahead], 0).astype(np.float32)
            discount = np.where(going, discount * np.float32(gamma) * flat["discount"][ahead], discount)
            here = ahead
            going = going & flat["start"][here]
        now, then = flat["inputs"].take(index, 0), flat["inputs"].take(here, 0)
        return Batch(
            obs=now[:, : self._split],
            extra=now[:, self._split :],
            action=self._ahead(flat, index, actions),
            reward=reward,
            discount=discount.astype(np.float32),
            next_obs=then[:, : self._split],
            next_extra=then[:, self._split :],
            to_go=flat["to_go"].take(index),
            pictures=self._seen(index) if pictures else None,
            next_pictures=self._seen(here) if pictures else None,
        )

    def _seen(self, index: np.ndarray) -> np.ndarray | None:
        """Pictures (B, C, H, W, 3) at flat indices."""
        if not self._frames:
            return None
        return np.stack([frames.take(index) for frames in self._frames.values()], axis=1)

    def _ahead(self, flat: Mapping[str, np.ndarray], index: np.ndarray, actions: int) -> np.ndarray:
        """(B, actions * A): what was executed from flat indices on."""
        size = self.length * self.n
        here = (index + self.n) % size  # the answer to a step's action arrives with the next step
        taken = [flat["applied"].take(here, 0)]
        for _ in range(actions - 1):
            here = np.where(flat["start"][here], (here + self.n) % size, here)
            taken.append(flat["applied"].take(here, 0))
        return taken[0] if actions == 1 else np.concatenate(taken, 1)

    def state(self) -> dict[str, np.ndarray]:
        """Everything, for a checkpoint."""
        pictures = {f"{at}.{name}": x for at, frames in self._frames.items() for name, x in frames.state().items()}
        return {**self._data, **pictures, "counters": np.array([self._head, self.steps])}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        for at, frames in self._frames.items():
            frames.load({key.removeprefix(f"{at}."): x for key, x in state.items() if key.startswith(f"{at}.")})
        for key, value in self._data.items():
            value[...] = state[key]
        self._head, self.steps = (int(x) for x in state["counters"])


def replay_of(episodes: Sequence[Episode], policy: Policy, obs_spec: Spec, cameras: Sequence[str] = ()) -> Replay:
    """Demonstrations as a replay: the stateful `policy` runs along each episode, so that its extras (base action,
    chunk phase) are those it would have had there; the action is the one that was executed."""
    n, longest = len(episodes), max(len(episode) for episode in episodes)
    action_size = episodes[0].applied.shape[-1]
    replay = Replay(obs_spec, policy.extra_spec, action_size, n, n * (longest + 1), cameras=cameras)
    seeds = np.array([episode.seed for episode in episodes], np.int64)
    policy.reset(np.ones(n, bool), seeds)
    for t in range(longest):
        step = _stack(episodes, t, seeds, obs_spec)
        replay.add(step, policy.act(step.obs))
    return replay


def _stack(episodes: Sequence[Episode], t: int, seeds: np.ndarray, obs_spec: Spec) -> Step:
    """Tick t of all episodes as one step; rows that have ended are RESET."""
    at = [min(t, len(episode) - 1) for episode in episodes]

    def gather(name: str) -> np.ndarray:
        return np.stack([getattr(episode, name)[i] for episode, i in zip(episodes, at, strict=True)])

    over = np.array([t >= len(episode) for episode in episodes])
    kind = np.where(over, _RESET, gather("kind")).astype(np.uint8)
    obs = {key: np.stack([e.obs[key][i] for e, i in zip(episodes, at, strict=True)]) for key in obs_spec}
    stamp = {key: np.array([e.stamp[key][i] for e, i in zip(episodes, at, strict=True)]) for key in episodes[0].stamp}
    names = ("reward", "discount")
    reward, discount = (gather(name).astype(np.float32) for name in names)
    return Step(obs, reward, discount, kind, gather("applied"), gather("success"), gather("reason"), seeds, stamp)

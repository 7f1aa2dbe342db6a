"""A person takes over from a policy and hands back; and what acts where there is no policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum

import numpy as np

from robo_rl import random
from robo_rl.policy import Policy
from robo_rl.spec import Feature, Spec
from robo_rl.teleop import Hand, Teleoperator
from robo_rl.types import Action, Obs

INTERVENTION = "intervention"
EVERY = 30  # ticks between two hints while mirroring


class Mode(IntEnum):
    """Who acts."""

    POLICY = 0
    MIRROR = 1  # nobody: the robot holds until the person's device has its pose
    PERSON = 2


class Hold(Policy):
    """Asks for the setpoint that was accepted last."""

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        """It remembers nothing."""

    def act(self, obs: Obs) -> Action:
        return Action(obs["applied"].astype(np.float32))


class Override(Policy):
    """`base` until a person takes over, and again after the hand-back; one row.

    The base runs along under the person, so that what it would have done rides in `extra`; at the hand-back it begins
    anew, from a seed that follows from the episode's, so that no chunk from before reaches the robot. `extra` has
    `intervention`, 1 where the person acts or the robot waits for the person's device to be where the robot is.

    Args:
        base: acts on its own.
        teleop: connected by whoever owns it.
        act_spec: of the robot; its names are used in hints.
        begins: the person acts from the start of every episode.
        near: how far each element of a mirroring device may be from the robot's setpoint at the take-over.
        tell: shows a line to the person.
    """

    def __init__(
        self,
        base: Policy,
        teleop: Teleoperator,
        act_spec: Feature,
        begins: bool = False,
        near: float = 0.15,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.base, self.teleop, self.act_spec = base, teleop, act_spec
        self.extra_spec = base.extra_spec | Spec({INTERVENTION: Feature((1,), "float32", 0.0, 1.0)})
        self.mode = Mode.POLICY
        self._begins, self._near, self._tell = begins, near, tell
        self._held = np.zeros(act_spec.shape, np.float32)
        self._seed, self._tick = np.zeros(1, np.int64), 0

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        if len(where) != 1:
            raise ValueError(f"Override: one row is needed, got {len(where)}")
        self.base.reset(where, seeds)
        if where[0]:
            self._seed, self._tick, self.mode = seeds.copy(), 0, Mode.POLICY
            self._began = not self._begins

    def act(self, obs: Obs) -> Action:
        applied = obs["applied"][0]
        hand = self.teleop.read(applied)
        if hand.switch or not self._began:
            self._began = True
            self._switch(applied)
        if self.mode == Mode.MIRROR:
            self._mirror(hand)
        action = self.base.act(obs)
        self._tick += 1
        value = {Mode.POLICY: action.value[0], Mode.MIRROR: self._held, Mode.PERSON: hand.target}[self.mode]
        flag = np.full((1, 1), self.mode != Mode.POLICY, np.float32)
        return Action(value.astype(np.float32)[None].copy(), {**action.extra, INTERVENTION: flag})

    def state(self) -> dict[str, np.ndarray]:
        own = {"mode": self.mode, "held": self._held, "seed": self._seed, "tick": self._tick, "began": self._began}
        return self.base.state() | {f"override_{key}": np.array(value) for key, value in own.items()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self.base.load({key: value for key, value in state.items() if not key.startswith("override_")})
        self.mode, self._began = Mode(int(state["override_mode"])), bool(state["override_began"])
        self._held, self._seed = np.array(state["override_held"]), np.array(state["override_seed"])
        self._tick = int(state["override_tick"])

    def _switch(self, applied: np.ndarray) -> None:
        """The person takes over, changes their mind while mirroring, or hands back."""
        if self.mode == Mode.POLICY:
            self._held = applied.astype(np.float32)
            self.mode = Mode.MIRROR if self.teleop.mirrors else Mode.PERSON
            self._tell("you hold the robot still: bring your device to its pose" if self.teleop.mirrors else "you act")
            return
        self.mode = Mode.POLICY
        self.base.reset(np.ones(1, bool), random.mix(self._seed, np.array([self._tick])))
        self._tell("the policy acts")

    def _mirror(self, hand: Hand) -> None:
        away = hand.target - self._held
        farthest = int(np.argmax(np.abs(away)))
        if abs(away[farthest]) <= self._near:
            self.mode = Mode.PERSON
            self._tell("you act")
        elif self._tick % EVERY == 0:
            name = self.act_spec.names[farthest] if self.act_spec.names else str(farthest)
            self._tell(f"bring {name} by {-away[farthest]:+.2f} {self.act_spec.unit}")

    _began = True

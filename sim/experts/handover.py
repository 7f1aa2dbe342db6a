"""Scripted expert for so101_pair/handover: the left hand brings the bar over the wall, the right one takes it there and
puts it down.

Who holds the bar says what each hand does; no timer, no memory. How hands move and why they err:
`sim/experts/top_down.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robo_rl.policy import Policy
from robo_rl.robot import load_descriptions
from robo_rl.types import Action, Obs
from sim.experts.top_down import Goal, Hand, Sight, TopDownConfig, choose, misplacement, wrap
from sim.poses import turn, yaw_of

ACROSS = np.pi / 2  # yaw of a bar that lies from one arm to the other [rad]


@dataclass(frozen=True)
class HandoverExpertConfig(TopDownConfig):
    """How the expert moves."""

    pace: tuple[float, float] = (0.08, 0.13)
    end: float = 0.050  # from the bar's centre to where it is gripped [m]
    grip: float = 0.004  # tool above the bar's axis when it grasps [m]
    over: tuple[float, float, float] = (0.15, 0.0, 0.052)  # where the bar changes hands, in the rig's frame [m]
    clear: float = 0.032  # height of the bar's lower face before it moves sideways [m]
    half: float = 0.010  # of the bar's width [m]
    tolerance: float = 0.012  # misplacement of the bar at which it is taken, and at which it is let go [m]
    drop: float = 0.002  # of the lower face above the table when it lets go [m]
    wait: tuple[float, float, float] = (0.15, 0.03, 0.095)  # of the tool, in its arm's frame, towards the other arm [m]
    retreat: float = 0.095  # tool above the table after it let go [m]


class HandoverExpert(Policy):
    """Policy over the privileged poses of bar and place, the joint positions and the previous setpoints."""

    def __init__(self, n: int, description: str | Path, config: HandoverExpertConfig = HandoverExpertConfig()) -> None:
        left, right = load_descriptions(description)
        self.config = config
        self.left = Hand(n, left, config, "handover expert left")
        self.right = Hand(n, right, config, "handover expert right", len(left.joints))

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        for hand in (self.left, self.right):
            hand.reset(where, seeds)

    def act(self, obs: Obs) -> Action:
        """Setpoints of both arms (N, 12) [rad]."""
        left, right = self.left.look(obs), self.right.look(obs)
        mine, theirs = self._end(left, 1.0), self._end(right, -1.0)
        gives, takes = self.left.held(left, mine), self.right.held(right, theirs)
        first = self._give(left, mine, gives, takes)
        second = self._take(right, theirs, gives, takes, self._apart(left, mine))
        return Action(np.concatenate([self.left.move(left, first), self.right.move(right, second)], axis=1))

    def state(self) -> dict[str, np.ndarray]:
        hands = {"left": self.left.state(), "right": self.right.state()}
        return {f"{side}/{key}": value for side, state in hands.items() for key, value in state.items()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        for side, hand in (("left", self.left), ("right", self.right)):
            hand.load({key: state[f"{side}/{key}"] for key in hand.state()})

    def _give(self, sight: Sight, end: np.ndarray, gives: np.ndarray, takes: np.ndarray) -> Goal:
        """The left hand: pick the bar up where nobody has it, bring it over the wall, let go once it is taken."""
        c, bar = self.config, sight.pose("bar")
        pick = self.left.pick(sight, end, end[:, 2] + c.grip)
        over = np.array(c.over) - sight.base
        offset, twist = (over - bar[:, :3])[:, :2], wrap(ACROSS - yaw_of(bar[:, 3:]))
        bring = self.left.carry(sight, sight.tool, offset, twist, bar[:, 2] - c.half - c.clear, over[2] - bar[:, 2])
        here = bar[:, 1] + sight.base[1] > 0.05  # on this side of the wall
        goal = choose(here & ~takes, pick, self._wait(sight, -1.0))
        goal = choose(gives, bring, goal)
        return choose(takes & ~self._apart(sight, end), self.left.let_go(sight, c.retreat), goal)

    def _take(self, sight: Sight, end: np.ndarray, gives: np.ndarray, takes: np.ndarray, apart: np.ndarray) -> Goal:
        """The right hand: take the bar where it is offered, wait until it is free, put it down at its place."""
        c, bar, place = self.config, sight.pose("bar"), sight.pose("place")
        near = np.linalg.norm(sight.tool - end[:, :3], axis=1) < 0.03
        over = np.array(c.over) - sight.base
        away = np.linalg.norm(bar[:, :3] - over, axis=1) + 0.02 * np.abs(wrap(ACROSS - yaw_of(bar[:, 3:])))
        offered = (gives & (away < c.tolerance * (1.0 + near))) | (~gives & (bar[:, 1] + sight.base[1] < -0.05))
        goal = choose(offered, self.right.pick(sight, end, end[:, 2] + c.grip), self._wait(sight, 1.0))
        goal = choose(takes & ~apart, (sight.tool, sight.yaw, np.full(len(end), c.closed)), goal)
        goal = choose(takes & apart, self._bring(sight, bar, place), goal)
        low = bar[:, 2] - c.half
        opened = np.clip((sight.grip - c.parallel) / 0.1, 0.0, 1.0)
        there = np.hypot(*(place - bar)[:, :2].T) < c.tolerance * (1.0 + 0.5 * opened)
        return choose(there & (low < c.drop + 0.003 + 0.003 * opened), self.right.let_go(sight, c.retreat), goal)

    def _bring(self, sight: Sight, bar: np.ndarray, place: np.ndarray) -> Goal:
        """To its place, down along a funnel."""
        c, offset = self.config, (place - bar)[:, :2]
        twist = wrap(ACROSS - yaw_of(bar[:, 3:]))
        error, low = misplacement(offset, twist), bar[:, 2] - c.half
        height = c.drop + np.clip(8.0 * (error - 0.5 * c.tolerance), 0.0, c.clear + 0.008)
        return self.right.carry(sight, sight.tool, offset, twist, low - c.clear, height - low)

    def _end(self, sight: Sight, side: float) -> np.ndarray:
        """Pose (N, 7) of the bar's end that a hand grips."""
        bar = sight.pose("bar")
        axis = turn(bar[:, 3:], np.tile([side * self.config.end, 0.0, 0.0], (len(bar), 1)))
        return np.concatenate([bar[:, :3] + axis, bar[:, 3:]], axis=1)

    def _apart(self, sight: Sight, end: np.ndarray) -> np.ndarray:
        """(N,) bool: the open hand is clear of the bar."""
        return (sight.grip > self.config.parallel + 0.15) & (np.linalg.norm(sight.tool - end[:, :3], axis=1) > 0.03)

    def _wait(self, sight: Sight, side: float) -> Goal:
        """Open, above the way to the other arm."""
        x, y, z = self.config.wait
        n = len(sight.tool)
        return np.tile([x, side * y, z], (n, 1)), np.full(n, ACROSS), np.full(n, self.config.opened)

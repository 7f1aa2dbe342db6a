"""Small stand-ins: a point mass, a task for it, policies, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from robo_rl import random
from robo_rl.policy import Policy
from robo_rl.robot import Joint, Rig, RobotDescription
from robo_rl.spec import Feature, Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import Action, Kind, Obs, Reason, Step, Success


class FakeClock:
    """A monotonic clock that `sleep` moves; reading it takes a microsecond."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        self.time += 1e-6
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class PointRig(Rig):
    """N points in the plane that move a fifth of the way to their setpoint a tick.

    `writes` (N,) counts commands; rows whose seed is in `diverging` become NaN at their third tick.
    """

    dt = 0.1

    def __init__(self, n: int, home_ticks: int = 1, diverging: Iterable[int] = ()) -> None:
        self.n, self.home_ticks, self.diverging = n, home_ticks, list(diverging)
        self.act_spec = Feature((2,), "float32", -1.0, 1.0, "m", ("x", "y"))
        self.obs_spec = Spec({"position": Feature((2,), unit="m", names=("x", "y")), "applied": self.act_spec})
        self.position, self.applied = np.zeros((n, 2), np.float32), np.zeros((n, 2), np.float32)
        self.writes, self.ticks, self.waited = (np.zeros(n, np.int64) for _ in range(3))
        self.seed = np.full(n, -1)
        self.events: list[str] = []
        self.closed = 0

    def home(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self.waited[where] += 1
        ready = where & (self.waited >= self.home_ticks)
        self.position[ready] = self.applied[ready] = 0.0
        self.waited[ready] = self.ticks[ready] = 0
        self.seed = np.where(ready, seeds, self.seed)
        return ready

    def write(self, action: np.ndarray, live: np.ndarray) -> np.ndarray:
        self.events.append("write")
        self.writes += live
        self.applied[live] = self.act_spec.clip(action)[live]
        return self.applied.copy()

    def tick(self, live: np.ndarray) -> None:
        self.events.append("tick")
        self.ticks[live] += 1
        self.position[live] += 0.2 * (self.applied - self.position)[live]
        self.position[live & np.isin(self.seed, self.diverging) & (self.ticks == 3)] = np.nan

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        obs = {"position": self.position.copy(), "applied": self.applied.copy()}
        return obs, dict.fromkeys(obs, self.ticks * self.dt)

    @property
    def condition(self) -> np.ndarray:
        broken = ~np.isfinite(self.position).all(axis=1)
        return np.where(broken, Reason.DIVERGED, Reason.RUNNING).astype(np.uint8)

    def close(self) -> None:
        self.closed += 1


class ReachTask(Task):
    """Success near the goal, failure beyond x = 0.6."""

    name = "reach"

    def __init__(self, n: int, limit: float = 1.5) -> None:
        self.limit = limit
        self.obs_spec = Spec({"goal": Feature((2,), "float32", -1.0, 1.0, "m", ("x", "y"))})
        self._goal = np.zeros((n, 2), np.float32)

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        draw = random.uniform(seeds, 0, random.stream("goal"), 2).astype(np.float32) - 0.5
        self._goal[where] = draw[where]
        return where

    def observe(self) -> dict[str, np.ndarray]:
        return {"goal": self._goal.copy()}

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        near = np.linalg.norm(obs["position"] - self._goal, axis=1) < 0.05
        out = (obs["position"][:, 0] > 0.6) & ~near
        reason = np.select([near, out], [Reason.SUCCESS, Reason.FAILURE], Reason.RUNNING).astype(np.uint8)
        success = np.where(near, Success.YES, Success.NO).astype(np.int8)
        return Verdict(near.astype(np.float32), near | out, success, reason)


class GoalPolicy(Policy):
    """Commands the goal, plus seeded noise."""

    def __init__(self, n: int, noise: float = 0.0) -> None:
        self.noise, self._seed, self._tick = noise, np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.resets: list[int] = []

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        self._seed = np.where(where, seeds, self._seed)
        self._tick[where] = 0
        self.resets += seeds[where].tolist()

    def act(self, obs: Obs) -> Action:
        noise = self.noise * random.normal(self._seed, self._tick, 1, 2)
        self._tick += 1
        return Action((obs["goal"] + noise).astype(np.float32))

    def state(self) -> dict[str, np.ndarray]:
        return {"seed": self._seed.copy(), "tick": self._tick.copy()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self._seed, self._tick = state["seed"].copy(), state["tick"].copy()


class ConstantPolicy(Policy):
    """The same action everywhere, always."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        """No state."""

    def act(self, obs: Obs) -> Action:
        return Action(self.value)


def tiny_arm(max_speed: float = 3.0, dt: float = 0.02) -> RobotDescription:
    """Two joints of unequal limits, home away from zero."""

    def joint(name: str, low: float, high: float, home: float, parent: str) -> Joint:
        return Joint(
            name, low, high, home, max_speed, 1.0, (0.0, 0.0, 0.1), (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0), parent
        )

    joints = (joint("shoulder", -1.7, 1.3, 0.3, ""), joint("elbow", -0.6, 2.1, 0.7, "shoulder"))
    return RobotDescription("tiny", dt, joints, "elbow", (0.1, 0.0, 0.0), {})


class IdleTask(Task):
    """A task that only times out."""

    name = "idle"
    obs_spec = Spec({})

    def __init__(self, limit: float = 0.3) -> None:
        self.limit = limit

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return where

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        n = len(applied)
        return Verdict(np.zeros(n, np.float32), np.zeros(n, bool), np.zeros(n, np.int8), np.zeros(n, np.uint8))


def kinds(steps: list[Step], row: int) -> list[Kind]:
    """One row's kinds over time."""
    return [Kind(int(step.kind[row])) for step in steps]

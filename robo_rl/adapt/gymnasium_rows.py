"""Some rows of Gymnasium environments, stepped one after the other: in this process, or in a worker's."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np

from robo_rl.adapt.spaces import action_feature, flat_observation, spec_of
from robo_rl.errors import UnknownName, UserError
from robo_rl.ranges import COUNT
from robo_rl.spec import Feature, Spec
from robo_rl.types import NO_SEED, Reason, Success

TERMINATED = "terminated"
"""Success key of environments in which terminating is succeeding."""
_SUCCESS_KEYS = ("success", "is_success")


@dataclass(frozen=True)
class GymConfig:
    """Which Gymnasium environment, and what its numbers mean."""

    env_id: str  # "Pendulum-v1" or "module:Name-v0"
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    success_key: str | None = (
        None  # key in `info`; default "success" or "is_success"; "terminated": termination succeeds
    )
    limit: int | None = None  # [steps], in place of the environment's own time limit
    end_on_success: bool = True  # success ends the episode, discount 0
    reward: str = "env"  # "env", or "success": 1 on success, 0 otherwise

    def __post_init__(self) -> None:
        if self.reward not in ("env", "success"):
            raise UnknownName("task.env.reward", self.reward, ("env", "success"))
        COUNT.or_null.check("task.env.limit", self.limit)

    def make(self) -> gymnasium.Env:
        """One environment. Raises `UserError` where Gymnasium knows none of that name, or it takes other arguments."""
        if self.env_id.count(":") > 1:
            raise UserError(f"env_id={self.env_id}: expected Name-v0 or module:Name-v0")
        try:
            limit = {} if self.limit is None else {"max_episode_steps": self.limit}
            return gymnasium.make(self.env_id, disable_env_checker=True, **limit, **self.env_kwargs)
        except (gymnasium.error.Error, ModuleNotFoundError) as error:
            raise UserError(f"env_id={self.env_id}: {error}") from error
        except (TypeError, ValueError, AssertionError) as error:
            if not self.env_kwargs:
                raise
            raise UserError(f"env_kwargs={dict(self.env_kwargs)}: {error}") from error


@dataclass(frozen=True)
class About:
    """What an environment says about itself."""

    obs_spec: Spec
    act_spec: Feature
    dt: float | None  # [s], None where it does not say
    limit: int | None  # [steps] an episode lasts at most, None where it does not say

    @classmethod
    def of(cls, env: gymnasium.Env, name: str) -> About:
        dt = getattr(env.unwrapped, "dt", None)
        rate = env.metadata.get("render_fps")
        dt = float(dt) if isinstance(dt, (int, float)) else 1.0 / rate if rate else None
        limit = None if env.spec is None else env.spec.max_episode_steps
        return cls(spec_of(env.observation_space, name), action_feature(env.action_space, name), dt, limit)


@dataclass
class Results:
    """One tick of R rows; arrays as in `Step`. A row that neither moved nor began keeps its observation."""

    obs: dict[str, np.ndarray]  # key -> (R, *shape)
    reward: np.ndarray  # (R,)
    ended: np.ndarray  # (R,) bool
    success: np.ndarray  # (R,) int8
    reason: np.ndarray  # (R,) uint8


class Rows:
    """R environments of one kind. `tick` moves the rows that are live and begins those that have a seed."""

    def __init__(self, config: GymConfig, count: int) -> None:
        self.config = config
        self.envs = [config.make() for _ in range(count)]
        self.about = About.of(self.envs[0], config.env_id)
        self._dtype = self.envs[0].action_space.dtype
        self._obs = self.about.obs_spec.zeros(count)

    def tick(self, action: np.ndarray, live: np.ndarray, seeds: np.ndarray) -> Results:
        """Step the rows `live` (R,) bool with action (R, A); reset those with a seed (R,) int64 that is not NO_SEED."""
        count = len(self.envs)
        out = Results(
            {}, np.zeros(count, np.float32), np.zeros(count, bool), np.zeros(count, np.int8), np.zeros(count, np.uint8)
        )
        for row in np.flatnonzero(seeds != NO_SEED):
            obs, _ = self.envs[row].reset(seed=int(seeds[row] % 2**31))
            self._keep(row, obs)
        for row in np.flatnonzero(live):
            self._step(row, action[row], out)
        out.obs = {key: value.copy() for key, value in self._obs.items()}
        return out

    def close(self) -> None:
        for env in self.envs:
            env.close()
        self.envs = []

    def _step(self, row: np.intp, action: np.ndarray, out: Results) -> None:
        if not np.isfinite(action).all():
            out.ended[row], out.reason[row] = True, Reason.DIVERGED
            return
        obs, reward, terminated, truncated, info = self.envs[row].step(action.astype(self._dtype))
        if not (np.isfinite(float(reward)) and self._keep(row, obs)):
            out.ended[row], out.reason[row] = True, Reason.DIVERGED
            return
        success = self._success(info, bool(terminated), bool(terminated or truncated))
        terminal = terminated or (self.config.end_on_success and success == Success.YES)
        out.reward[row] = float(success == Success.YES) if self.config.reward == "success" else reward
        out.success[row], out.ended[row] = success, terminal or truncated
        if terminal:
            out.reason[row] = Reason.SUCCESS if success == Success.YES else Reason.FAILURE
        elif truncated:
            out.reason[row] = Reason.TIMEOUT

    def _keep(self, row: np.intp, obs: Any) -> bool:
        """Store a row's observation; False, with the last one kept, where it is not finite."""
        values = flat_observation(obs)
        if not all(np.isfinite(value).all() for value in values.values()):
            return False
        for key, value in values.items():
            self._obs[key][row] = value
        return True

    def _success(self, info: Mapping[str, Any], terminated: bool, ended: bool) -> Success:
        if self.config.success_key == TERMINATED:
            return Success.YES if terminated else Success.NO
        keys = _SUCCESS_KEYS if self.config.success_key is None else (self.config.success_key,)
        for key in keys:
            if key in info:
                return Success.YES if bool(np.all(info[key])) else Success.NO
        if ended and self.config.success_key is not None:
            raise UserError(
                f"success_key={keys[0]}: not in the info of {self.config.env_id}; it has: {', '.join(info)}"
            )
        return Success.UNKNOWN


class RemoteRows:
    """`Rows` in a worker process, behind a pipe. `send` starts a tick, `recv` waits for it."""

    def __init__(self, config: GymConfig, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, config, count), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, *request: np.ndarray) -> None:
        try:
            self._pipe.send(request)
        except OSError as error:
            raise self._died() from error

    def recv(self) -> Any:
        """The answer to the oldest request; the first one is `About`. Raises what the worker raised."""
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self._pipe.close()  # the worker ends when it reads the end of the pipe
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _died(self) -> RuntimeError:
        self._process.join(timeout=5)
        return RuntimeError(f"an environment worker died (exit code {self._process.exitcode})")


def _serve(pipe: Connection, config: GymConfig, count: int) -> None:
    """A worker's life: make the rows, then answer ticks until one fails or the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    rows = _attempt(Rows, config, count)
    answer = rows.about if isinstance(rows, Rows) else rows
    try:
        pipe.send(answer)
        while not isinstance(answer, Exception):
            answer = _attempt(rows.tick, *pipe.recv())
            pipe.send(answer)
    except (EOFError, OSError):
        pass  # the parent closed the pipe, or died
    finally:
        if isinstance(rows, Rows):
            rows.close()


def _attempt(call: Callable[..., Any], *args: Any) -> Any:
    """What `call` returns, or an exception that can travel."""
    try:
        return call(*args)
    except UserError as error:
        return UserError(str(error))
    except Exception:
        return RuntimeError(f"an environment worker failed:\n{traceback.format_exc()}")

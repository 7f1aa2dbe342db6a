"""Stable-Baselines3, both directions: an `Env` as its `VecEnv`, and its models as policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from robo_rl.adapt.gymnasium_out import ends, observation_space, observe
from robo_rl.adapt.spaces import box_of
from robo_rl.env import Env
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.spec import Spec
from robo_rl.types import Action, Obs, Reason, Step, Success


class Sb3VecEnv(VecEnv):
    """All rows of an `Env`, by Stable-Baselines3's convention: a row that ended shows the first observation of its next
    episode at once, and its last one in `infos[row]["terminal_observation"]`.

    Ended rows are begun by `Env.reset` of those rows alone, in which no time passes; so every row must be ready at
    once, as in simulation. A rig that takes ticks to home raises `RuntimeError` (use `GymnasiumEnv`).

    Args:
        env: the env.
        seed: seed of the first episode; the next ones follow.
        flatten: observations as one vector a row instead of a dict.
    """

    def __init__(self, env: Env, seed: int = 0, flatten: bool = True) -> None:
        self.env, self.flatten = env, flatten
        self._stream = Seeds(seed)
        self.render_mode = None
        super().__init__(env.n, observation_space(env, flatten), box_of(env.act_spec))

    def reset(self) -> Any:
        if self._seeds[0] is not None:  # what `seed` was called with
            self._stream = Seeds(self._seeds[0])
        step = self._begin(np.ones(self.num_envs, bool))
        self._reset_seeds()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return observe(self.env, step, self.flatten)

    def step_async(self, actions: np.ndarray) -> None:
        self.env.send(np.asarray(actions, np.float32))

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        step = self.env.recv()
        obs, done = observe(self.env, step, self.flatten), step.last
        infos = self._infos(step, obs)
        if done.any():
            obs = self._replace(obs, observe(self.env, self._begin(done), self.flatten), done)
        return obs, step.reward, done, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [
            getattr(self.env, attr_name) if attr_name != "render_mode" else None for _ in self._get_indices(indices)
        ]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the rows of an Env are one object: set the attribute on it")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("the rows of an Env are one object: call the method on it")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]

    def _begin(self, where: np.ndarray) -> Step:
        step = self.env.reset(where, self._stream)
        if not step.first[where].all():
            raise RuntimeError("Sb3VecEnv: the rig takes time to reset; use GymnasiumEnv")
        return step

    def _replace(self, obs: Any, new: Any, where: np.ndarray) -> Any:
        if self.flatten:
            return _rows(where, new, obs)
        return {key: _rows(where, new[key], value) for key, value in obs.items()}

    def _infos(self, step: Step, obs: Any) -> list[dict[str, Any]]:
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        _, truncated = ends(step)
        for row in np.flatnonzero(step.last):
            infos[row] = {
                "terminal_observation": obs[row] if self.flatten else {key: value[row] for key, value in obs.items()},
                "TimeLimit.truncated": bool(truncated[row]),
                "is_success": bool(step.success[row] == Success.YES),
                "reason": Reason(int(step.reason[row])).label,
                "episode_seed": int(step.seed[row]),
            }
        return infos


class FramedVecEnv(Sb3VecEnv):
    """An `Sb3VecEnv` whose agent sees features and acts in [-1, 1]: the inputs and actions that other learners have.

    Args:
        inputs: packed observations (N, D) -> features (N, F).
        executed: packed observations (N, D), actions (N, A) in [-1, 1] -> actions in the action spec's units.
        width: F.
    """

    def __init__(
        self,
        env: Env,
        seed: int,
        inputs: Callable[[np.ndarray], np.ndarray],
        executed: Callable[[np.ndarray, np.ndarray], np.ndarray],
        width: int,
    ) -> None:
        super().__init__(env, seed)
        self._inputs, self._executed = inputs, executed
        self._seen = np.zeros((env.n, env.obs_spec.vector_size), np.float32)
        self.observation_space = spaces.Box(-np.inf, np.inf, (width,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (env.act_spec.size,), np.float32)

    def reset(self) -> np.ndarray:
        self._seen = super().reset()
        return self._inputs(self._seen)

    def step_async(self, actions: np.ndarray) -> None:
        super().step_async(self._executed(self._seen, np.asarray(actions, np.float32)))

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        self._seen, reward, done, infos = super().step_wait()
        for row in np.flatnonzero(done):
            infos[row]["terminal_observation"] = self._inputs(infos[row]["terminal_observation"][None])[0]
        return self._inputs(self._seen), reward, done, infos


def _rows(where: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    out = old.copy()
    out[where] = new[where]
    return out


class Predictor(Protocol):
    """What a Stable-Baselines3 algorithm offers for acting."""

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[np.ndarray, Any]:
        """Actions (N, A) in the action space's units."""
        ...


class Sb3Policy(Policy):
    """Acts with a Stable-Baselines3 model trained on an `Sb3VecEnv` of the same spec. It has no memory to reset.

    Args:
        model: e.g. `TD3.load("model.zip")`. Such files are pickles: load only what you trust.
        obs_spec: the env's observation spec.
        flatten: as in the `Sb3VecEnv` it was trained on.
        deterministic: act without exploration noise.
    """

    def __init__(self, model: Predictor, obs_spec: Spec, flatten: bool = True, deterministic: bool = True) -> None:
        self.model, self.obs_spec, self.flatten, self.deterministic = model, obs_spec, flatten, deterministic

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        """Nothing to start: the model maps each observation to an action."""

    def act(self, obs: Obs) -> Action:
        seen = self.obs_spec.pack(obs) if self.flatten else {key: obs[key] for key in self.obs_spec}
        value, _ = self.model.predict(seen, deterministic=self.deterministic)
        return Action(np.asarray(value, np.float32))

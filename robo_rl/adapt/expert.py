"""Other people's scripted experts as policies: a function or a class for one row, named `module:name`."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from robo_rl import random
from robo_rl.adapt.spaces import STATE
from robo_rl.errors import UserError
from robo_rl.policy import Policy
from robo_rl.spec import Feature
from robo_rl.types import Action, Obs

_METHODS = ("act", "get_action", "__call__")


class ExpertPolicy(Policy):
    """One expert a row, its actions disturbed by correlated Gaussian noise and clipped to the action's bounds.

    The noise of a row is e_0 = s z_0, e_t = r e_{t-1} + s sqrt(1 - r^2) z_t with standard deviation s, correlation r
    and z_t a function of episode seed and tick. An expert of an environment whose observation is one Box gets that
    array; otherwise it gets a dict of arrays.

    Args:
        make: makes one row's expert, an object with `act(obs)`, `get_action(obs)` or a call, and maybe `reset(seed)`.
        n: rows.
        act_spec: bounds and size of the actions.
        noise: s, in the action's units.
        correlation: r, from one tick to the next.
        name: what a `UserError` calls the expert when its code fails.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        n: int,
        act_spec: Feature,
        noise: float = 0.0,
        correlation: float = 0.9,
        name: str = "",
    ) -> None:
        self.act_spec, self.noise, self.correlation, self.name = act_spec, noise, correlation, name
        self._experts = [self._ask(make) for _ in range(n)]
        self._calls = [_call_of(expert) for expert in self._experts]
        self._seed = np.zeros(n, np.int64)
        self._tick = np.zeros(n, np.int64)
        self._error = np.zeros((n, act_spec.size))
        self._stream = random.stream("expert")

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        self._seed = np.where(where, seeds, self._seed)
        self._tick[where] = 0
        for row in np.flatnonzero(where):
            if hasattr(self._experts[row], "reset"):
                self._ask(self._experts[row].reset, int(seeds[row]))

    def act(self, obs: Obs) -> Action:
        asked = enumerate(self._calls)
        value = np.stack([self._action(self._ask(call, _one_row(obs, row))) for row, call in asked])
        if self.noise:
            value = value + self._disturbance()
        self._tick += 1
        return Action(self.act_spec.clip(value))

    def _ask(self, call: Callable[..., Any], *args: Any) -> Any:
        """What somebody else's code answers; a `UserError` that says where it failed."""
        try:
            return call(*args)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"expert={self.name}: {type(error).__name__}: {error}{_place(error)}") from error

    def _action(self, answer: Any) -> np.ndarray:
        try:
            return np.asarray(answer, np.float64).reshape(self.act_spec.shape)
        except (TypeError, ValueError) as error:
            expected = f"expected an action of shape {self.act_spec.shape}"
            raise UserError(f"expert={self.name}: answered with a {type(answer).__name__}: {expected}") from error

    def _disturbance(self) -> np.ndarray:
        draw = random.normal(self._seed, self._tick, self._stream, self.act_spec.size)
        keep = np.where(self._tick == 0, 0.0, self.correlation)[:, None]
        self._error = keep * self._error + self.noise * np.sqrt(1.0 - keep**2) * draw
        return self._error


def load_expert(target: str, n: int, act_spec: Feature, noise: float = 0.0, correlation: float = 0.9) -> ExpertPolicy:
    """The expert `module:name`: a function from one row's observation to its action, or a class without arguments.

    Raises `UserError` when there is no such module or name, or it is neither.
    """
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"expert={target}: {error}; expected module:name") from error
    if not callable(found):
        raise UserError(f"expert={target}: a {type(found).__name__}; expected a function or a class")
    make = found if inspect.isclass(found) else lambda: found
    return ExpertPolicy(make, n, act_spec, noise, correlation, target)


def _place(error: Exception) -> str:
    """Where somebody else's code failed."""
    theirs = (frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__)
    first = next(theirs, None)  # what lies deeper is a library's
    return "" if first is None else f" ({first.filename}, line {first.lineno})"


def _call_of(expert: Any) -> Callable[[Any], Any]:
    for method in _METHODS:
        if hasattr(expert, method):
            return getattr(expert, method)
    raise UserError(f"expert {type(expert).__name__}: has none of {', '.join(_METHODS)}")


def _one_row(obs: Obs, row: int) -> Any:
    if set(obs) == {STATE}:
        return obs[STATE][row]
    return {key: value[row] for key, value in obs.items()}

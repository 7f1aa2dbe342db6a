"""A peer in a venv of its own: SBX's TD3 or SAC (Stable-Baselines3's algorithms in JAX) on a replay full of noise.

Started by `benchmarks.update` as a script; it imports nothing of this project. Arguments: algorithm, sizes of the
observation and of the action, width of two hidden layers, critics, batch, transitions. A number of updates comes in,
the seconds that they took go out.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import gymnasium
import numpy as np


class Sizes(gymnasium.Env):
    """Nothing but spaces."""

    def __init__(self, observation: int, action: int) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (observation,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (action,), np.float32)


def make(algorithm: str, sizes: tuple[int, int], width: int, critics: int, batch: int, capacity: int) -> Any:
    """A model whose replay is full."""
    import sbx  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.logger import configure

    nets = {"net_arch": [width, width], "n_critics": critics}
    kind = getattr(sbx, algorithm)
    model = kind("MlpPolicy", Sizes(*sizes), buffer_size=capacity, batch_size=batch, policy_kwargs=nets)
    model.set_logger(configure(None, []))
    rng, buffer = np.random.default_rng(0), model.replay_buffer
    for name in ("observations", "next_observations", "actions"):
        array = getattr(buffer, name)
        array[:] = np.clip(rng.standard_normal(array.shape, np.float32), -1, 1)
    buffer.rewards[:], buffer.full = rng.random(buffer.rewards.shape) < 0.01, True
    return model


def main() -> None:
    algorithm, observation, action, width, critics, batch, capacity = sys.argv[1:]
    model = make(algorithm, (int(observation), int(action)), int(width), int(critics), int(batch), int(capacity))
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        model.train(int(line), int(batch))
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()

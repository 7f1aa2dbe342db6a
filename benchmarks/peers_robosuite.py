"""A peer in a venv of its own: robosuite's Lift with a Panda arm, joint torques from random actions, no cameras.

Started by `benchmarks.simulated` as a script; it imports nothing of this project. A line with a number of control steps
comes in, the seconds that they took go out. The scene is never reset: robosuite's resets would take longer than ours.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

CONTROL_HZ = 20  # robosuite's default [control steps/s of simulated time]


def make() -> Any:
    """The environment with nothing but its low-dimensional observation."""
    import robosuite  # pyright: ignore[reportMissingImports]

    return robosuite.make(
        "Lift",
        robots="Panda",
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        use_object_obs=True,
        control_freq=CONTROL_HZ,
        ignore_done=True,
        hard_reset=False,
    )


def main() -> None:
    env, rng = make(), np.random.default_rng(0)
    env.reset()
    low, high = env.action_spec
    print("ready", flush=True)
    for line in sys.stdin:
        actions = rng.uniform(low, high, (int(line), len(low)))
        start = time.perf_counter()
        for action in actions:
            env.step(action)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()

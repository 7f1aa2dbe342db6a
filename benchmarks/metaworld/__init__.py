"""Meta-World's tasks as Gymnasium environments whose episodes follow from `reset(seed=...)` alone.

`env_id=benchmarks.metaworld:robo_rl_bench/pick-place-v3`, and the same for Meta-World's 49 other tasks. Meta-World's
scripted policies are experts as they are: `expert=metaworld.policies:SawyerPickPlaceV3Policy`.

Only `benchmarks.metaworld.env` imports Meta-World, which needs a venv of its own (see `benchmarks.metaworld.run`).
"""

from __future__ import annotations

import importlib.util

LIMIT = 200  # time limit of an episode [steps]


def _register() -> None:
    import gymnasium
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS  # pyright: ignore[reportMissingImports]

    for name in ALL_V3_ENVIRONMENTS:
        gymnasium.register(
            f"robo_rl_bench/{name}",
            "benchmarks.metaworld.env:make",
            max_episode_steps=LIMIT,
            kwargs={"task": name},
        )


if importlib.util.find_spec("metaworld") is not None:
    _register()

"""Registers the bundled tasks with Gymnasium.

Gymnasium has no entry points for environments any more: `import robo_rl` registers them. Simulator and tasks are
imported by `make` only.
"""

from __future__ import annotations

import gymnasium

TASKS = {
    f"robo_rl/so101-{name}-v0": {"task": name} for name in ("insert_peg", "lift", "open_drawer", "pick_place", "stack")
}


def register() -> None:
    """Add the bundled tasks to Gymnasium's registry; may be called twice."""
    for name, kwargs in TASKS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name,
                entry_point="robo_rl.app.registered:make",
                vector_entry_point="robo_rl.app.registered:make_vec",
                disable_env_checker=True,
                kwargs=dict(kwargs),
            )

"""Registers the bundled tasks with Gymnasium.

Gymnasium has no entry points for environments any more: `import robo_rl` registers them. Simulator and tasks are
imported by `make` only.
"""

from __future__ import annotations

import gymnasium

NAMES = (
    "go2/joystick",
    "go2/push_recovery",
    "koch/lift",
    "so101/insert_peg",
    "so101/lift",
    "so101/open_drawer",
    "so101/pick_place",
    "so101/stack",
    "so101_pair/handover",
    "ur5e/lift",
)
TASKS = {f"robo_rl/{name.replace('/', '-')}-v0": {"task": name} for name in NAMES}


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

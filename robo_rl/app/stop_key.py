"""The emergency stop on the keyboard: a key of the terminal that is a fault of the robot."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hardware.keys import Keys
from robo_rl.app.sensing import STANDARD_INPUT, terminal_keys
from robo_rl.env import Env

STOP = "space"


def watch_stop_key(env: Env, say: Callable[[str], None], keys: Keys | None = None) -> None:
    """From now on, the key stops the rig's robots, where they are physical ones and a person sits at a terminal."""
    rig: Any = getattr(env, "rig", None)
    rig = getattr(rig, "rig", rig)
    if not hasattr(rig, "watch") or (keys is None and not os.isatty(STANDARD_INPUT)):
        return
    keys = terminal_keys() if keys is None else keys
    rig.watch(lambda: f"somebody pressed {STOP}" if keys.take((STOP,)) else "")
    say(f"{STOP} stops the robot")

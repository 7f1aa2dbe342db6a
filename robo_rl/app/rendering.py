"""Off-screen rendering: chosen before MuJoCo is imported."""

from __future__ import annotations

import ctypes.util
import os
import sys


def choose_backend() -> None:
    """Render with EGL where there is neither a choice nor a display; MuJoCo cannot be imported when EGL is missing."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY") and ctypes.util.find_library("EGL"):
        os.environ.setdefault("MUJOCO_GL", "egl")

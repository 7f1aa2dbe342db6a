"""How well a walking robot follows its commands, as the gait's benchmark sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import gait
from robo_rl.errors import UserError
from robo_rl.types import Action, Obs
from tests.sim.go2 import CASES, expert, robot


class Standing:
    """A robot that stands whatever it is told."""

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        """Nothing to start."""

    def act(self, obs: Obs) -> Action:
        return Action(np.tile(robot().array("home").astype(np.float32), (len(obs["applied"]), 1)))


def test_who_follows_and_who_stands() -> None:
    env = CASES["joystick"].env(8, limit=5.0)
    follows, stands = gait.walk(env, expert(8), "trot", 8), gait.walk(env, Standing(), "stand", 8)  # type: ignore[arg-type]
    assert follows["success_rate"] == 1.0 and follows["falls"] == stands["falls"] == 0
    assert follows["tracked_share"] > 0.9 > 0.6 > stands["tracked_share"]
    assert follows["moving_speed_error"] < 0.15 < stands["moving_speed_error"]
    assert stands["standing_speed_error"] < 0.02
    env.close()


def test_a_clone_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run=.*/none: no such folder; python -m benchmarks\.tasks"):
        gait.main({"run": str(tmp_path / "none")}, tmp_path)

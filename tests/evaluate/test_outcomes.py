"""Every seed once, whatever N."""

from __future__ import annotations

import json

import numpy as np
import pytest

from robo_rl.env import RigEnv
from robo_rl.evaluate.machine import describe_machine
from robo_rl.evaluate.outcomes import Motion, Outcomes, evaluate, summarise
from robo_rl.evaluate.quality import smoothness
from robo_rl.evaluate.statistics import wilson
from robo_rl.types import Action, Kind, Step, Success
from tests.fakes import GoalPolicy, PointRig, ReachTask

KEYS = [
    *("task", "run", "episodes", "seed", "success_rate", "ci_low", "ci_high", "return_mean", "episode_length_mean"),
    *("success_length_mean", "smoothness_mean"),
    *("env_steps_trained", "wall_clock_s", "machine", "not_recorded", "rows"),
]


def outcomes(n: int, episodes: int = 7, home_ticks: int = 1, diverging: tuple[int, ...] = ()) -> Outcomes:
    env = RigEnv(PointRig(n, home_ticks, diverging), ReachTask(n))
    return evaluate(env, GoalPolicy(n, noise=0.2), 100, episodes)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("home_ticks", [1, 3])
def test_rows_do_not_depend_on_n(n: int, home_ticks: int) -> None:
    alone = outcomes(1).summary("reach", "", 100)["rows"]
    together = outcomes(n, home_ticks=home_ticks).summary("reach", "", 100)["rows"]
    assert [row["seed"] for row in together] == list(range(100, 107))
    assert together == alone


def test_a_row_says_how_its_episode_went() -> None:
    rows = outcomes(2, diverging=(103,)).rows
    diverged = next(row for row in rows if row["seed"] == 103)
    assert diverged.pop("smoothness") is None  # too short to say
    assert diverged == {"seed": 103, "success": False, "reason": "diverged", "length": 3, "return": 0.0}
    for row in rows:
        assert row["success"] == (row["reason"] == "success") and row["return"] == float(row["success"])
        assert 0 < row["length"] <= 15


def test_smoothness_is_that_of_the_logged_setpoints() -> None:
    rng, n, ticks = np.random.default_rng(0), 3, 12
    setpoints = rng.normal(size=(2, ticks, n, 2)).cumsum(1)
    motion, starts = Motion(n), np.ones(n, bool)
    for episode in setpoints:  # the second begins where the first one's rows left off
        for tick, applied in enumerate(episode):
            motion.add(starts if tick == 0 else ~starts, applied)
        expected = [smoothness(episode[1:, row], 0.05) for row in range(n)]
        np.testing.assert_allclose([motion.smoothness(row) for row in range(n)], expected, rtol=1e-9)
    still = Motion(1)
    for tick in range(9):
        still.add(np.array([tick == 0]), np.ones((1, 2)))
    assert still.smoothness(0) is None


def test_the_summary_has_its_fixed_keys_and_is_json() -> None:
    result = outcomes(3).summary("reach", "runs/a", 100, env_steps_trained=5, extra=1)
    assert [key for key in result if key != "extra"] == KEYS
    successes = sum(row["success"] for row in result["rows"])
    assert result["success_rate"] == successes / 7 and result["episodes"] == 7
    assert (result["ci_low"], result["ci_high"]) == wilson(successes, 7)
    assert json.loads(json.dumps(result)) == result and result["wall_clock_s"] > 0


def test_unlabelled_episodes_do_not_count_as_failures() -> None:
    rows = [
        {"seed": seed, "success": label, "reason": "timeout", "length": 2, "return": 0.0}
        for seed, label in enumerate([True, None, False, True])
    ]
    assert summarise(rows, "t", "r", 0)["success_rate"] == pytest.approx(2 / 3)
    assert summarise(rows[1:2], "t", "r", 0)["success_rate"] is None
    assert summarise([], "t", "r", 0)["return_mean"] is None


def test_an_episode_seen_from_its_middle_is_left_out() -> None:
    def step(kind: Kind) -> Step:
        zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
        success = np.array([Success.YES], np.int8)
        seed = np.array([4], np.int64)
        return Step({}, one, zero, np.array([kind], np.uint8), zero[None], success, np.ones(1, np.uint8), seed)

    observer = Outcomes(1)
    for kind in (Kind.MID, Kind.LAST, Kind.FIRST, Kind.MID, Kind.LAST):
        observer(step(kind), Action(np.zeros((1, 1))))
    row = {"seed": 4, "success": True, "reason": "success", "length": 2, "return": 2.0, "smoothness": None}
    assert observer.rows == [row]


def test_the_machine_is_one_line() -> None:
    text = describe_machine()
    assert "cores" in text and "\n" not in text

"""The comparison of learners: what is planned, how a choice is made, and the numbers in its tables."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.learners import command, plan
from benchmarks.learners.curves import draw, middle
from benchmarks.learners.summary import interquartile_mean, page, restricted_mean, stratified
from robo_rl.app.compose import compose
from robo_rl.errors import UnknownName

SCORES = np.array(
    [
        [0.97, 0.91, 1.0, 0.88],
        [0.955, 0.99, 0.985, 0.93],
        [0.90, 0.97, 0.995, 0.96],
        [0.945, 0.985, 1.0, 0.91],
        [0.965, 0.96, 0.99, 0.95],
    ]
)


def test_mean_and_interval_are_those_of_rliable() -> None:
    assert float(interquartile_mean(SCORES)) == pytest.approx(0.9645)
    # rliable 1.2.0, get_interval_estimates with 50,000 resamples: 0.948 to 0.9725
    np.testing.assert_allclose(stratified(SCORES, interquartile_mean), [0.948, 0.9725], atol=0.001)


def test_a_censored_run_counts_with_its_whole_length() -> None:
    assert restricted_mean([100.0, None, 300.0], [1000.0, 1000.0, 200.0]) == pytest.approx((100 + 1000 + 200) / 3)


def test_runs_are_told_apart_by_their_configuration() -> None:
    plans = plan.load()
    wanted = [*plan.tuning(plans), *(one for part in plans["parts"] for one in plan.part(plans, part, {}))]
    runs = {one.run for one in wanted}
    assert len({run.key for run in runs}) == len(runs)
    tuning, reporting = ({one.run.seed for one in wanted if (one.part == "tuning") is tuned} for tuned in (True, False))
    assert not tuning & reporting


def test_every_key_of_the_plan_is_one_of_train() -> None:
    plans = plan.load()
    for one in [*plan.tuning(plans), *(one for part in plans["parts"] for one in plan.part(plans, part, {}))]:
        compose("train", [*one.run.keys, "base=b"])


def test_the_choice_with_most_success_is_taken_and_a_method_without_all_its_runs_waits() -> None:
    plans = plan.load()
    runs = [one for one in plan.tuning(plans) if one.run.method == "expo"]
    assert {one.run.task for one in runs} == set(plans["tuning"]["tasks"])
    assert {one.run.task for one in plan.tuning(plans) if one.run.method == "rlpd"} == {"pick-place-v3"}
    rows = {one.run.key: {"tuning_success": success} for one, success in zip(runs, (0.5, 0.9, 0.9), strict=True)}
    chosen = plan.choose(plans, rows)
    assert chosen == {"expo": tuple(plans["methods"]["expo"]["choices"][1])}
    assert plan.choose(plans, dict(list(rows.items())[:2])) == {}
    others = command.everything(plans, ["others"], rows)
    assert {one.run.method for one in others} == {"expo"}
    assert all(set(chosen["expo"]) <= set(one.run.keys) for one in others)


def test_two_processes_share_what_is_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(command, "found", dict)
    plans = plan.load()
    one, two = (command.missing(plans, ["residual"], tmp_path) for _ in range(2))
    first, second = next(one), next(two)
    assert first.run.key != second.run.key
    one.close()
    assert next(command.missing(plans, ["residual"], tmp_path)).run.key == first.run.key


def test_an_unknown_part_is_named(tmp_path) -> None:
    with pytest.raises(UnknownName, match=r"parts=tuned: .*residual, tuning"):
        command.main({"parts": "tuned"}, tmp_path)


def test_the_page_shows_each_group_once() -> None:
    plans, row = plan.load(), {
        "part": "residual", "variant": "", "task": "t", "method": "residual", "seed": 0, "utd": 0.25,
        "base_success": 0.6,
        "success_rate": 0.96, "raw_final_success": 0.95, "noisy_success_rate": 0.9, "steps_to_95": None,
        "cpu_to_95_s": None, "wall_clock_to_95_s": None, "env_steps": 150_000, "cpu_s": 600.0, "wall_clock_s": 700.0,
        "machine": "m", "promoted": "residual",
    }  # fmt: skip
    text = page(
        plans,
        [
            row | {"promoted": "base"},
            row | {"seed": 1, "steps_to_95": 50_000, "cpu_to_95_s": 100.0, "wall_clock_to_95_s": 1},
        ],
        9,
    )
    assert "| t | residual | 2 | 0.25 | 60.0 (60.0 to 60.0) |" in text
    assert "| 96.0 (96.0 to 96.0) | 1 of 2 | 95.0 (95.0 to 95.0) |" in text
    assert "| 1 of 2 | 100k | 350 |" in text
    assert "2 of 9 runs" in text


def test_means_over_tasks_wait_for_every_run() -> None:
    plans = plan.load()
    spec = plans["parts"]["residual"]
    rows = [
        {
            "part": "residual", "variant": "", "task": task, "method": "residual", "seed": seed, "utd": 0.25,
            "base_success": 0.5, "success_rate": 0.9, "raw_final_success": 0.8, "noisy_success_rate": 0.9,
            "steps_to_95": None, "cpu_to_95_s": None, "wall_clock_to_95_s": None, "env_steps": 1, "cpu_s": 1.0,
            "wall_clock_s": 1.0, "machine": "m", "promoted": "residual", "curve": [],
        }
        for task in spec["tasks"] for seed in spec["seeds"]
    ]  # fmt: skip
    said = "interquartile mean 90.0% (90.0% to 90.0%), raw 80.0% (80.0% to 80.0%)"
    assert said in page(plans, rows, 20) and said not in page(plans, rows[1:], 20)


def test_curves_of_runs_are_read_at_the_same_steps(tmp_path) -> None:
    """One run is evaluated at other steps than the other, and ends earlier."""
    rows = [
        {"curve": [{"env_steps": at, "success": at / 1000} for at in (100, 400, 900)]},
        {"curve": [{"env_steps": at, "success": 0.5} for at in (200, 1000)]},
    ]
    at, median, low, high = middle(rows, 1000)
    assert (at[0], at[-1]) == (200, 900)
    np.testing.assert_allclose(median, (at / 1000 + 0.5) / 2)
    np.testing.assert_allclose([low, high], np.sort([at / 1000, np.full_like(at, 0.5)], axis=0))
    draw({("t", "residual"): rows, ("u", "rlpd"): rows[:1]}, 1000, tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")).shape[1] > 700

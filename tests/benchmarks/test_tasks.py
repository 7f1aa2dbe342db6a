"""The table of tasks: what it lists, how it is written into its page, and the policy it is compared with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.uniform import Uniform
from robo_rl.adapt.register import TASKS
from robo_rl.app.compose import compose
from robo_rl.errors import UserError
from robo_rl.spec import Feature, Spec
from tests.contract.policy import PolicyContract

RATE = {"success_rate": 0.5, "ci_low": 0.4, "ci_high": 0.6}
ROW = {"task": "so101/lift", "demonstrations": 40, "expert": RATE, "random": RATE, "clone": RATE}


class TestUniform(PolicyContract):
    obs_spec = Spec({"position": Feature((2,))})
    act_spec = Feature((2,), low=[-1.0, 0.0], high=[1.0, 3.0])

    def make(self, n: int) -> Uniform:
        return Uniform(n, self.act_spec)

    def test_it_fills_the_bounds(self) -> None:
        policy = self.make(500)
        policy.reset(np.ones(500, bool), np.arange(500))
        value = policy.act({}).value
        np.testing.assert_allclose(value.min(axis=0), [-1.0, 0.0], atol=0.03)
        np.testing.assert_allclose(value.max(axis=0), [1.0, 3.0], atol=0.03)


def test_every_bundled_task_is_listed_and_registered() -> None:
    assert set(tasks.names()) == {kwargs["task"] for kwargs in TASKS.values()}


def test_recipes_are_of_listed_tasks_and_their_keys_are_known() -> None:
    assert set(tasks.RECIPES) <= set(tasks.names())
    for task, recipe in tasks.RECIPES.items():
        compose("train", [f"task={task}", "learner=bc", *recipe.train])


def test_only_what_is_between_the_marks_changes(tmp_path) -> None:
    page = tmp_path / "tasks.md"
    page.write_text(f"before\n{tasks.BEGIN}\nold\n{tasks.END}\nafter\n")
    for _ in range(2):
        tasks.put(page, tasks.table([ROW]))
    lines = page.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
    rate, shown = "50% (40% to 60%)", "![so101/lift](tasks/so101_lift.jpg)"
    assert lines[4] == f"| `so101/lift` | {rate} | {rate} | {rate} | 40 | {shown} |"
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.md"]


def test_a_page_without_marks_is_left_alone(tmp_path) -> None:
    page = tmp_path / "tasks.md"
    page.write_text("text")
    with pytest.raises(UserError, match="lacks the marks"):
        tasks.put(page, "table")
    assert page.read_text() == "text"


def test_the_picture_shows_an_episode(tmp_path) -> None:
    tasks.draw("so101/lift", tmp_path / "tasks" / "lift.jpg")
    picture = cv2.imread(str(tmp_path / "tasks" / "lift.jpg"))
    assert picture is not None and picture.shape == (tasks.FRAME[1], 4 * tasks.FRAME[0], 3)
    first, *_, last = np.split(picture.astype(int), 4, axis=1)
    assert first.std() > 20 and (np.abs(first - last).max(axis=2) > 60).mean() > 0.02


def test_an_unknown_task_is_one_line() -> None:
    with pytest.raises(UserError, match=r"task=so101/dance: unknown; valid choices: go2/joystick"):
        tasks.main(["task=so101/dance"])


def test_a_random_policy_is_measured_once(tmp_path) -> None:
    first = tasks.random_policy("so101/lift", tmp_path / "random.json", 3)
    assert first["episodes"] == 3 and first["success_rate"] == 0.0
    (tmp_path / "random.json").write_text('{"kept": true}')
    assert tasks.random_policy("so101/lift", tmp_path / "random.json", 3) == {"kept": True}

"""The table of tasks: what it lists, how it is written into its page, and the policy it is compared with."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.uniform import Uniform
from robo_rl.adapt.register import TASKS
from robo_rl.errors import UserError
from robo_rl.spec import Feature, Spec
from tests.contract.policy import PolicyContract

RATE = {"success_rate": 0.5, "ci_low": 0.4, "ci_high": 0.6}
ROW = {"task": "so101/lift", "expert": RATE, "random": RATE, "clone": RATE}


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


def test_only_what_is_between_the_marks_changes(tmp_path) -> None:
    page = tmp_path / "tasks.md"
    page.write_text(f"before\n{tasks.BEGIN}\nold\n{tasks.END}\nafter\n")
    for _ in range(2):
        tasks.put(page, tasks.table([ROW], {"so101/lift": "tasks/lift.jpg"}))
    lines = page.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
    assert "| `so101/lift` | 50% (40% to 60%) | 50% (40% to 60%) | 50% (40% to 60%) |" in lines[4]
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.md"]


def test_a_page_without_marks_is_left_alone(tmp_path) -> None:
    page = tmp_path / "tasks.md"
    page.write_text("text")
    with pytest.raises(UserError, match="lacks the marks"):
        tasks.put(page, "table")
    assert page.read_text() == "text"


def test_a_random_policy_is_measured_once(tmp_path) -> None:
    first = tasks.random_policy("so101/lift", tmp_path / "random.json", 3)
    assert first["episodes"] == 3 and first["success_rate"] == 0.0
    (tmp_path / "random.json").write_text('{"kept": true}')
    assert tasks.random_policy("so101/lift", tmp_path / "random.json", 3) == {"kept": True}

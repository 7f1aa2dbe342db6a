"""A person at the keyboard, on the command line: recording, taking over in a deployment, moving a robot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from robo_rl.app import sensing, teleop
from robo_rl.data.dataset import load_dataset
from robo_rl.log.reader import find_logs, read_log
from robo_rl.types import Action, Step
from tests.app.support import assert_mistake
from tests.hardware.terminal import Terminal, terminal

SHORT = "task.task.config.limit=2.0"  # [s]


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Whose terminal is the commands' standard input."""
    with terminal() as made:
        monkeypatch.setattr(sensing, "terminal_keys", lambda: made.keys)
        monkeypatch.setattr(teleop, "terminal_keys", lambda: made.keys)
        yield made


Type = Callable[[dict[int, str]], None]


@pytest.fixture
def types(person: Terminal, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Keys by the tick, counted from the first live one, in which they are typed."""

    def plan(keys: dict[int, str]) -> None:
        class Typing(teleop.Interventions):
            live = 0

            def __call__(self, step: Step, action: Action) -> None:
                super().__call__(step, action)
                person.type(keys.get(self.live, ""))
                self.live += int(step.live[0])

        monkeypatch.setattr(teleop, "Interventions", Typing)

    return plan


def test_a_person_records_a_dataset(robo_rl, types, tmp_path) -> None:
    out = tmp_path / "out"
    types(dict.fromkeys(range(200), "q"))
    code, _, error = robo_rl("record", "source=teleop", "teleop=keyboard", "episodes=2", SHORT, f"out={out}")
    assert code == 0, error
    dataset = load_dataset(out)
    assert len(dataset) == 2 and "intervention" in dataset.extra_spec
    moved = [episode.applied[-1, 0] - episode.applied[1, 0] for episode in dataset.episodes]
    assert max(moved) > 0.05  # q moves the first joint up
    result = json.loads((out / "result.json").read_text())
    assert result["intervention_share"] == 1.0


def test_a_person_takes_over_a_deployment(robo_rl, types, run_folder, tmp_path) -> None:
    out = tmp_path / "out"
    arguments = (f"run={run_folder}", "teleop=keyboard", "episodes=1", "task.task.config.limit=3", f"out={out}")
    types({10: "\t", 20: "\t"})
    code, _, error = robo_rl("deploy", *arguments)
    assert code == 0, error
    result = json.loads((out / "result.json").read_text())
    assert result["interventions"] == 1 and 0 < result["intervention_share"] < 1
    (episode,) = read_log(find_logs(out, "out")[0]).episodes
    flags = episode.extra["intervention"][:-1, 0]
    assert flags[0] == flags[-1] == 0 and np.abs(np.diff(flags)).sum() == 2
    acted = flags == 1
    assert 5 <= acted.sum() <= 15
    held = episode.action[:-1][acted]
    assert np.allclose(held, held[0], atol=1e-6)  # the person asked for no motion
    assert not np.array_equal(held, episode.extra["base_action"][:-1][acted])  # what the policy would have done


def test_a_stop_ends_a_run_on_the_emulated_bus_as_a_fault(robo_rl, types, tmp_path) -> None:
    out = tmp_path / "out"
    calm = [f"robot.rig.driver.{key}=20.0" for key in ("watchdog", "patience", "stall")]
    calm += ["robot.rig.arm.patience=0.2", "+robot.guard.max_age=20.0", "+robot.guard.max_misses=1000"]
    types({10: " "})
    result = robo_rl("teleoperate", "robot=so101", "robot.bus=emulated", *calm, "seconds=60", f"out={out}")
    assert_mistake(result, ["a fault ended it: so101: stop: space was pressed"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("record", "source=teleop"), ["teleop=none", "keyboard, gamepad, spacemouse, leader"]),
        (("teleoperate", "teleop=gamepad"), ["teleop.path=: is needed"]),
        (("teleoperate", "teleop=gamepad", "teleop.path=/dev/input/event77"), ["teleop.path=/dev/input/event77"]),
        (("teleoperate", "teleop=leader"), ["teleop=leader: works where the robot has a bus"]),
        (
            ("teleoperate", "teleop=leader", "robot=so101", "robot.bus=emulated"),
            ["teleop.bus=: the leader's serial port"],
        ),
        (("teleoperate", "teleop=spacemouse"), ["teleop=spacemouse: none is plugged in"]),
        (("teleoperate", "teleop=mouse"), ["teleop=mouse", "gamepad, keyboard, leader, none, spacemouse"]),
        (("teleoperate", "task=go2/joystick", "robot=go2_sim"), ["go2 has 12 joints, there are keys for 7"]),
    ],
)
def test_what_does_not_fit_is_said(robo_rl, arguments, words) -> None:
    assert_mistake(robo_rl(*arguments), words)

"""Every config composes, and what it names can be built."""

from __future__ import annotations

from itertools import product

import pytest

from robo_rl.app.build import check_targets, make_env, make_expert, scenario
from robo_rl.app.compose import choices, command_groups, compose
from robo_rl.app.help import commands
from robo_rl.errors import UserError

TASKS = {"gym": ["env_id=Pendulum-v1", "expert=robo_rl.adapt.spaces:box_of"]}
NEEDED: dict[str, list[str]] = {}


def combinations() -> list[tuple[str, str, str]]:
    return [(name, group, choice) for name in commands() for group in command_groups(name) for choice in choices(group)]


@pytest.mark.parametrize("command", commands())
def test_defaults_compose(command):
    compose(command, NEEDED.get(command, []))


@pytest.mark.parametrize(("command", "group", "choice"), combinations())
def test_every_choice_composes_and_may_be_built(command, group, choice):
    config = compose(command, [f"{group}={choice}", *NEEDED.get(command, [])])
    check_targets(config)


@pytest.mark.parametrize(("task", "n"), list(product(choices("task"), (1, 2))))
def test_every_task_is_built(task, n):
    config = compose("record", [f"task={task}", *TASKS.get(task, [])])
    env = make_env(config.task, config.robot, n)
    expert = make_expert(config.task, config.robot, env)
    assert env.n == n
    assert scenario(config)["task"] == task
    assert expert is not None
    env.close()


def test_noise_reaches_the_expert():
    config = compose("record", [])
    env = make_env(config.task, config.robot, 1)
    assert make_expert(config.task, config.robot, env, noise=0.25).config.noise == 0.25


def test_gymnasium_keys_reach_the_environment():
    config = compose("record", ["task=gym", "env_id=Pendulum-v1", "env_kwargs={g:5.0}", "success_key=terminated"])
    assert config.task.env.env_kwargs == {"g": 5.0}
    assert scenario(config) == {
        "task": "gym",
        "robot": "none",
        "env_id": "Pendulum-v1",
        "env_kwargs": {"g": 5.0},
        "success_key": "terminated",
    }


@pytest.mark.parametrize("target", ["os.system", "robo_rl.app.demo.subprocess.run", "sim.nothing", 3])
def test_a_target_from_elsewhere_is_not_built(target):
    with pytest.raises(UserError, match="_target_"):
        check_targets({"policy": [{"_target_": target}]})


def test_integral_floats_are_integers():
    assert compose("record", ["episodes=2e1"]).episodes == 20


@pytest.mark.parametrize("text", ["out='a=b'", "out=a=b"])
def test_paths_that_hold_an_equals_sign(text):
    assert compose("record", [text]).out == "a=b"


def test_a_path_with_blanks_and_brackets():
    assert compose("record", ["out=my runs (2)"]).out == "my runs (2)"

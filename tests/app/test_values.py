"""Values that no command could use are refused: one line with the key, the value, and what is valid."""

from __future__ import annotations

from functools import cache

import pytest
from omegaconf import DictConfig, OmegaConf

from robo_rl.app.compose import compose
from robo_rl.app.valid import check_values
from robo_rl.errors import UserError
from tests.app.support import assert_mistake

BC = ("train", "learner=bc")
PENDULUM = ("task=gym", "env_id=Pendulum-v1")
COMPOSED = [
    (("record", "noise=abc"), "not below 0, or null"),
    (("record", "noise=-1"), "not below 0"),
    (("record", "task.rig.nthread=-1"), "at least 0"),
    (("record", "task.expert.config.noise=-1"), "not below 0"),
    (("record", "task.camera.width=0"), "at least 1"),
    (("record", *PENDULUM, "task.expert.correlation=2"), "from 0 to 1"),
    (("record", *PENDULUM, "success_key=[a]"), "a text, or null"),
    ((*BC, "policy.horizon=0"), "at least 1"),
    ((*BC, "policy.execute=0"), "at least 1"),
    ((*BC, "policy.execute=17"), "at most 16"),
    ((*BC, "policy.hidden=[a]"), "whole numbers"),
    ((*BC, "policy.hidden=[0]"), "whole numbers"),
    ((*BC, "learner.checkpoints=0"), "at least 1"),
    ((*BC, "learner.episodes=0"), "at least 1"),
    ((*BC, "threads=-1"), "at least 0"),
    ((*BC, "log_fraction=2"), "from 0 to 1"),
    ((*BC, "log_fraction=-1"), "from 0 to 1"),
    (("train", "learner.hidden=[]"), "at least 1"),
    (("train", "learner.heads=1"), "at least 2"),
    (("train", "learner.heads=null"), "at least 2"),
    (("train", "learner.capacity=0"), "at least 1"),
    (("train", "learner.dropout=2"), "below 1"),
    (("train", "learner.scale=-1"), "not below 0"),
    (("train", "learner.noise=-1"), "not below 0"),
    (("train", "learner.rows=-1"), "at least 1"),
    (("train", "learner.eval_rows=0"), "at least 1"),
    (("train", "learner=qchunk", "learner.actor.samples=0"), "at least 1"),
    (("train", "learner=value", "learner.updates=0"), "at least 1"),
    (("train", "learner=value", "learner.candidates=0"), "at least 1"),
    (("train", "learner=sb3", "learner.capacity=-1"), "at least 1"),
    (("evaluate", "candidates=0"), "at least 1"),
    (("evaluate", "updates=0"), "at least 1"),
    (("deploy", "seconds=-1"), "not below 0"),
    (("deploy", "priority=200"), "0 to 99"),
    (("deploy", "priority=-5"), "0 to 99"),
    (("teleoperate", "seconds=-1"), "not below 0"),
    (("teleoperate", "priority=100"), "0 to 99"),
    (("home", "seconds=0"), "above 0"),
    (("view", "seconds=-1"), "not below 0"),
    (("view", "port=70000"), "1 to 65535"),
    (("doctor", "seconds=-1"), "above 0"),
    (("find", "ids=-1"), "0 to 252"),
    (("find", "patience=0"), "above 0"),
    (("calibrate", "views=0"), "at least 1"),
    (("replay", "tolerance=-1"), "not below 0"),
    (("gap", "seconds=-1"), "above 0"),
    (("gap", "seed=-1"), "at least 0"),
    (("sysid", "seconds=0"), "above 0"),
    (("sysid", "noise=0"), "above 0"),
    (("sysid", "held_out=-1"), "above 0 and below 1"),
    (("sysid", "held_out=2"), "above 0 and below 1"),
    (("sysid", "params=[]"), "at least one name"),
]
BUILT = [
    (("task.task.config.limit=0",), ["task.task.config.limit=0", "above 0"]),
    (("task=go2/joystick", "task.task.config.limit=-1"), ["task.task.config.limit=-1", "above 0"]),
    (("task=go2/joystick", "robot=so101_sim"), ["robot.description=so101", "legs", "robot=go2_sim"]),
    (("task=gym", "env_id=a:b:c"), ["env_id=a:b:c", "module:Name-v0"]),
    ((*PENDULUM, "task.env.limit=0"), ["task.env.limit=0", "at least 1, or null"]),
    ((*PENDULUM, "task.env.workers=-1"), ["task.env.workers=-1", "from 0 to 1"]),
    ((*PENDULUM, "task.env.reward=dense"), ["task.env.reward=dense", "env, success"]),
    ((*PENDULUM, "env_kwargs={foo:1}"), ["env_kwargs={'foo': 1}", "unexpected keyword argument 'foo'"]),
    ((*PENDULUM, "expert=json:loads"), ["expert=json:loads: TypeError", "json/__init__.py, line"]),
    ((*PENDULUM, "expert=builtins:str"), ["expert str: has none of act"]),
    ((*PENDULUM, "expert=builtins:repr"), ["expert=builtins:repr", "answered with a str", "shape (1,)"]),
]
TRAINED = [
    ("bc", "learner.config.updates=0", "at least 1"),
    ("bc", "learner.config.updates=-5", "at least 1"),
    ("bc", "learner.config.lr=-1", "above 0"),
    ("residual", "learner.online.steps=0", "at least 1"),
    ("residual", "learner.config.n_step=0", "at least 1"),
    ("residual", "learner.scale=0", "above 0"),
    ("sb3", "learner.arguments={foo:1}", "foo: unknown; valid choices: action_noise"),
    ("sb3", "learner.arguments={ent_coef:few}", "learner.arguments={'ent_coef': 'few'}: sac does not take them"),
]


@cache
def composed(*arguments: str) -> DictConfig:
    return compose(arguments[0], arguments[1:])


@pytest.mark.parametrize(("arguments", "valid"), COMPOSED, ids=[" ".join(arguments) for arguments, _ in COMPOSED])
def test_a_value_out_of_range(arguments, valid) -> None:
    *given, wrong = arguments
    config = OmegaConf.merge(composed(*given), OmegaConf.from_dotlist([wrong]))
    assert isinstance(config, DictConfig)
    with pytest.raises(UserError) as error:
        check_values(given[0], config)
    assert str(error.value).startswith(f"{wrong}: expected ") and valid in str(error.value)


@pytest.mark.parametrize(("arguments", "words"), BUILT, ids=[" ".join(arguments) for arguments, _ in BUILT])
def test_a_value_that_nothing_can_be_made_of(robo_rl, arguments, words, tmp_path) -> None:
    assert_mistake(robo_rl("record", *arguments, "episodes=1", "n=1", f"out={tmp_path / 'out'}"), words)


@pytest.mark.parametrize(("learner", "argument", "valid"), TRAINED)
def test_a_learners_value(robo_rl, dataset, run_folder, learner, argument, valid, tmp_path) -> None:
    out = tmp_path / "run"
    given = [f"learner={learner}", f"dataset={dataset}", f"base={run_folder}", f"out={out}"]
    said = f"{argument.partition('=')[0]}=" if "{" in argument else f"{argument}: expected"
    assert_mistake(robo_rl("train", *given, argument), [f"error: {said}", valid])
    assert not out.exists()

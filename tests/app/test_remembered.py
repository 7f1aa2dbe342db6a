"""What a run was made with comes back from its log and its bundle: reward, servos, other physics, cameras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from robo_rl.app import runs
from robo_rl.app.build import description_path, make_env, scenario
from robo_rl.app.compose import choices, compose
from robo_rl.cameras import Camera
from robo_rl.log.reader import find_logs, read_log
from robo_rl.robot import RobotDescription
from sim.identification import cut
from tests.app.support import assert_mistake, make_bundle
from tests.sim.mjcf import arm_file

CHANGED = {
    "task.reward": "shaped",
    "task.rig.servo": "real",
    "task.rig.randomise": "train",
    "task.rig.cameras": ["wrist"],
}
GIVEN = [f"{key}={json.dumps(value)}" for key, value in CHANGED.items()]
SHORT = "task.task.config.limit=0.3"


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """One episode with everything changed."""
    from robo_rl.app.main import main

    out = tmp_path_factory.mktemp("remembered") / "data"
    assert main(["record", "task=so101/lift", *GIVEN, SHORT, "episodes=1", f"out={out}"]) == 0
    return out


@pytest.fixture(scope="module")
def seeing(tmp_path_factory) -> Path:
    """A run folder of a policy that was trained with a camera."""
    config = compose("evaluate", ["task.rig.cameras=[wrist]", "task.rig.randomise=test"])
    env = make_env(config.task, config.robot, 1)
    env.close()
    folder = tmp_path_factory.mktemp("seeing")
    return make_bundle(folder, obs_spec=env.obs_spec, meta=scenario(config))


@pytest.mark.parametrize("task", [name for name in choices("task") if "/" in name])
def test_every_bundled_task_names_what_it_has(task):
    config = compose("record", [f"task={task}"])
    named = {*config.task["keys"], *config.robot["keys"]}
    has = {key for key in runs.REMEMBERED if "." in key and OmegaConf.select(config, key) is not None}
    assert has and has <= named and named <= set(runs.REMEMBERED)


def test_a_log_replays_as_it_was_recorded(robo_rl, recorded, tmp_path):
    log = read_log(find_logs(recorded)[0])
    assert {key: log.meta[key] for key in CHANGED} == CHANGED
    code, _, error = robo_rl("replay", f"log={recorded}", f"out={tmp_path / 'r'}")
    assert code == 0, error
    found = result(tmp_path / "r")
    assert found["identical"] and "obs/camera/wrist" in found["signals"] and "reward" in found["signals"]


@pytest.mark.parametrize(("command", "key"), [("replay", "log"), ("train", "dataset")])
def test_what_the_user_says_counts_more(recorded, command, key):
    implied = runs.remembered_by_log
    config = compose(command, [f"{key}={recorded}", "task.rig.servo=ideal"], lambda given: implied(given, key))
    assert config.task.name == "so101/lift" and config.task.rig.servo == "ideal"
    assert config.task.task.config.reward == "shaped" and config.task.rig.cameras == ["wrist"]
    other = compose(command, [f"{key}={recorded}", "task=so101/stack"], lambda given: implied(given, key))
    assert other.task.name == "so101/stack" and other.task.rig.servo == "ideal" and other.task.rig.cameras == []


def test_a_bundle_is_evaluated_as_it_was_trained(robo_rl, seeing, tmp_path):
    code, _, error = robo_rl("evaluate", f"run={seeing}", "episodes=1", SHORT, f"out={tmp_path / 'e'}")
    assert code == 0, error
    found = result(tmp_path / "e")
    assert found["task.rig.cameras"] == ["wrist"] and found["task.rig.randomise"] == "test"


def test_a_bundle_that_needs_a_camera_says_so(robo_rl, seeing, tmp_path):
    for command in ("evaluate", "deploy"):
        arguments = [command, f"run={seeing}", "episodes=1", "task.rig.cameras=[]", f"out={tmp_path / command}"]
        assert_mistake(robo_rl(*arguments), ["does not fit", Camera("wrist").key, "only on the left"])


def test_how_a_robot_was_commanded_its_model_and_its_fitted_numbers_are_remembered(robo_rl, tmp_path):
    fitted, other = tmp_path / "fit.yaml", tmp_path / "arm.xml"
    other.write_text(arm_file(RobotDescription.load(description_path("so101"))))
    fitted.write_text("robot: so101\nvalues: {damping.elbow_flex: 0.9, latency: 0.4}\n")
    given = ["robot.action=tool", f"robot.params={fitted}", f"robot.model={other}"]
    code, _, error = robo_rl("record", "task=so101/lift", *given, SHORT, "episodes=1", f"out={tmp_path / 'd'}")
    assert code == 0, error
    code, _, error = robo_rl("replay", f"log={tmp_path / 'd'}", SHORT, f"out={tmp_path / 'r'}")
    assert code == 0, error
    assert result(tmp_path / "r")["identical"] and "obs/joint_setpoint" in result(tmp_path / "r")["signals"]
    assert OmegaConf.load(tmp_path / "r" / "config.yaml").robot.model == str(other)
    code, _, error = robo_rl("replay", f"log={tmp_path / 'd'}", "robot.params=null", SHORT, f"out={tmp_path / 'other'}")
    assert code == 0 and not result(tmp_path / "other")["identical"], error


def test_another_robots_keys_are_those_that_the_two_share():
    meta = {"task": "so101/lift", "robot": "so101_sim", "robot.action": "tool", "robot.params": "fit.yaml"}
    assert runs.remembered(meta, {}, "log=x") == meta
    physical = runs.remembered(meta, {"robot": "so101"}, "log=x")
    assert physical["robot.action"] == "tool" and "robot.params" not in physical
    assert "robot.action" not in runs.remembered(meta, {"robot": "go2_sim"}, "log=x")


def test_setpoints_of_a_log_are_those_of_the_joints_whatever_was_commanded(robo_rl, tmp_path):
    code, _, error = robo_rl(
        "record", "task=so101/lift", "robot.action=tool", SHORT, "episodes=1", f"out={tmp_path / 'd'}"
    )
    assert code == 0, error
    episode = read_log(find_logs(tmp_path / "d")[0]).episodes[0]
    windows = cut([episode], ticks=3, count=1, seed=0, blocked=1.0)
    assert windows.setpoint.shape[-1] == episode.obs["joint_setpoint"].shape[-1]
    assert np.abs(windows.setpoint[:, -3:] - windows.position).max() < 0.2  # [rad]; a tool's x is no joint


@pytest.mark.parametrize("robot", ["so101_sim", "ur5e_sim"])
def test_an_unknown_kind_of_action_is_said(robo_rl, robot, tmp_path):
    arguments = ["record", f"task={robot[:-4]}/lift", "robot.action=pose", "episodes=1", f"out={tmp_path / 'd'}"]
    assert_mistake(robo_rl(*arguments), ["robot.action=pose", "joint, tool"])


def test_a_log_cannot_set_other_keys():
    meta = {"task": "so101/lift", "task.rig._target_": "os.system", "out": "elsewhere", "task.rig.servo": "real"}
    assert runs.remembered(meta, {}, "log=x") == {"task": "so101/lift", "task.rig.servo": "real"}

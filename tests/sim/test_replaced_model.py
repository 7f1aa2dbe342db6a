"""`robot.model=`: MJCF files in place of the built-in models; what fits works, what does not is told in one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

from robo_rl.app.build import make_env, make_expert
from robo_rl.app.compose import compose
from robo_rl.env import RigEnv
from robo_rl.errors import CorruptFile, UserError
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.robot import RobotDescription, load_descriptions
from robo_rl.seeds import Seeds
from sim.models.replaced import with_model
from sim.rig import SimRig
from sim.tasks.legged import build_model as build_legged
from sim.tasks.lift import LiftConfig
from sim.tasks.table_top import build_model
from tests.contract.robot import RigContract
from tests.sim.mjcf import arm_file, moved

DESCRIPTIONS = Path(__file__).parents[2] / "configs" / "description"
SO101, GO2 = (RobotDescription.load(DESCRIPTIONS / f"{name}.yaml") for name in ("so101", "go2"))
LEGS = ("FL", "FR", "RL", "RR")  # another order than the description's


def saved(folder: Path, text: str, name: str = "model.xml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def make(task: str, model: object, n: int = 1, *words: str) -> RigEnv:
    config = compose("record", [f"task={task}", f"robot.model={model}", "task.rig.nthread=1", *words])
    env = make_env(config.task, config.robot, n)
    assert isinstance(env, RigEnv) and isinstance(env.rig, SimRig)
    return env


def go2_file(order: Sequence[str] = LEGS, **options: object) -> str:
    joints = tuple(joint for leg in order for joint in GO2.joints if joint.name.startswith(leg))
    trunk = '<freejoint/><inertial pos="0 0 0" mass="6.9" diaginertia="0.02 0.1 0.1"/>'
    return arm_file(replace(GO2, joints=joints), "_joint", **{"root": trunk, **options})  # type: ignore[arg-type]


class TestRig(RigContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = saved(tmp_path, go2_file())

    def make(self) -> SimRig:
        rig = make("go2/joystick", self.path, 3).rig
        assert isinstance(rig, SimRig)
        return rig


def test_another_arm_does_the_task(tmp_path: Path) -> None:
    path = saved(tmp_path, arm_file(SO101, "_joint"))
    env = make("so101/lift", path, 10)
    built_in = make("so101/lift", "null")
    assert env.obs_spec.fingerprint() == built_in.obs_spec.fingerprint() and env.act_spec == built_in.act_spec
    model = env.rig.world.model
    assert mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_BODY, model.body("shoulder_pan").id) == "shoulder_pan"
    assert [model.actuator(index).name for index in range(model.nu)] == list(SO101.names)
    assert model.joint("elbow_flex").armature[0] == 0.05  # the file's
    assert model.actuator("elbow_flex").gainprm[0] == SO101.servo("kp")[2]  # the description's
    config = compose("record", ["task=so101/lift"])
    outcomes = evaluate(env, make_expert(config.task, config.robot, env), 1000, 10)
    assert outcomes.summary("so101/lift", "", 0)["success_rate"] >= 0.8
    env.close()


def test_legs_in_another_order_stay_the_specs_legs(tmp_path: Path) -> None:
    env = make("go2/joystick", saved(tmp_path, go2_file()), 2)
    places = [int(env.rig.world.model.joint(name).qposadr[0]) for name in GO2.names]
    assert places != sorted(places)
    step = env.reset(np.ones(2, bool), Seeds(0))
    assert np.allclose(step.obs["joint_position"], GO2.array("home"), atol=1e-6)
    target = step.obs["applied"].copy()
    target[1, GO2.names.index("FR_calf")] += 0.2
    for _ in range(40):
        env.send(target)
        step = env.recv()
    moved_by = step.obs["joint_position"][1] - step.obs["joint_position"][0]
    assert int(np.argmax(np.abs(moved_by))) == GO2.names.index("FR_calf") and moved_by.max() > 0.1
    assert not step.last.any() and (step.obs["foot_force"][0] > 5.0).all()  # it stands, on all four
    partly = env.reset(np.array([False, True]), Seeds(1))
    assert np.allclose(partly.obs["joint_position"][1], GO2.array("home"), atol=1e-6)
    assert np.array_equal(partly.obs["joint_position"][0], step.obs["joint_position"][0])
    env.close()


def test_a_yaml_file_says_which_joint_is_which_and_where_the_file_stands(tmp_path: Path) -> None:
    turned = '<body name="table" pos="0.5 0 0" quat="0.70710678 0 0 0.70710678">'
    text = arm_file(SO101, ".q").replace('<body name="pedestal">', turned)
    saved(tmp_path, text, "turned.xml")
    names = {name: f"{name}.q" for name in SO101.names}
    frame = {"position": [0.0, 0.5, 0.0], "quaternion": [0.70710678, 0.0, 0.0, -0.70710678]}
    path = saved(tmp_path, yaml.safe_dump({"mjcf": "turned.xml", "joints": names, **frame}), "model.yaml")
    env, built_in = make("so101/lift", path), make("so101/lift", "null")
    for one in (env, built_in):
        one.reset(np.ones(1, bool), Seeds(0))
    places = []
    for one in (env, built_in):
        data = one.rig.world.batch.get_data(0)
        mujoco.mj_forward(one.rig.world.model, data)
        places.append([data.joint(name).xanchor for name in SO101.names])
    assert np.allclose(*places, atol=1e-6)


def test_two_arms_are_replaced_alike(tmp_path: Path) -> None:
    env = make("so101_pair/handover", saved(tmp_path, arm_file(SO101)))
    model = env.rig.world.model
    assert model.body("right/gripper").id > model.body("left/gripper").id > 0
    left, right = load_descriptions(DESCRIPTIONS / "so101_pair.yaml")
    assert np.allclose(model.body("left/base").pos, left.base_position)
    assert np.allclose(model.body("right/base").pos, right.base_position)
    env.close()


BAD = {
    "a joint is missing": (
        {"ending": "_motor"},
        "lacks joints of robot so101: shoulder_pan, shoulder_lift, elbow_flex, wrist_flex, wrist_roll, gripper; it has "
        "elbow_flex_motor, gripper_motor",
    ),
    "limits": (
        {"change": moved("elbow_flex", low=-1.0)},
        "does not fit robot so101: elbow_flex has limits -1.000 to 1.750 rad, expected -1.750 to 1.750",
    ),
    "axis": ({"change": moved("wrist_flex", axis=(0, -1, 0))}, "wrist_flex turns about another axis, by 180.0 degrees"),
    "place": ({"change": moved("gripper", position=(0.035, 0.022, 0))}, "gripper is 10.0 mm away from where it should"),
    "floats": ({"root": "<freejoint/>"}, "its base floats"),
    "scene": ({"world": '<geom type="plane" size="1 1 1"/>'}, "its world holds more than the robot"),
    "two robots": ({"world": '<body name="other"/>'}, "its world holds more than the robot"),
    "idle actuator": (
        {"root": '<body><joint name="lamp"/><geom size="0.01" mass="1"/></body>', "extra": '<motor joint="lamp"/>'},
        "actuators that drive no joint of the robot: lamp",
    ),
    "slide": ({}, "shoulder_pan is no hinge"),
    "text": ({"extra": "<nothing/>"}, "MuJoCo cannot read it: XML Error"),
    "mass": ({}, "MuJoCo cannot compile it"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_does_not_fit_is_told_in_one_line(what: str, tmp_path: Path) -> None:
    options, words = BAD[what]
    text = arm_file(SO101, **options)  # type: ignore[arg-type]
    if what == "slide":
        text = text.replace('<joint name="shoulder_pan"', '<joint type="slide" name="shoulder_pan"')
    if what == "mass":
        text = text.replace('mass="0.1"', 'mass="-1"')
    path = saved(tmp_path, text)
    with pytest.raises(UserError) as error:
        build_model(with_model(SO101, str(path)), LiftConfig())
    assert words in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith(f"robot.model={path}: ")


def test_all_that_differs_is_listed(tmp_path: Path) -> None:
    path = saved(tmp_path, arm_file(SO101, change=lambda joint: replace(joint, low=-0.5, high=0.5)))
    with pytest.raises(UserError) as error:
        build_model(with_model(SO101, str(path)), LiftConfig())
    assert all(f"{name} has limits -0.500 to 0.500" in str(error.value) for name in SO101.names)


def test_a_robot_on_legs_needs_a_floating_base(tmp_path: Path) -> None:
    path = saved(tmp_path, go2_file(root='<inertial pos="0 0 0" mass="6.9" diaginertia="0.02 0.1 0.1"/>'))
    with pytest.raises(UserError, match="does not fit robot go2: its base does not float"):
        build_legged(with_model(GO2, str(path)), "go2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("joints: {}", "expected mjcf:"),
        ("- a", "expected mjcf:"),
        ("{mjcf: model.xml, scale: [2]}", "expected mjcf:"),
        ("{mjcf: nothing.xml}", "no such file"),
        ("{mjcf: model.xml, joints: {elbow: e}}", "joints=elbow"),
        ("{mjcf: [", "expected mjcf:"),
    ],
)
def test_a_bad_mapping_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    saved(tmp_path, arm_file(SO101))
    path = saved(tmp_path, text, "model.yaml")
    with pytest.raises((CorruptFile, UserError)) as error:
        build_model(with_model(SO101, str(path)), LiftConfig())
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_says_what_may_be_given() -> None:
    with pytest.raises(UserError, match=r"no such file: gone\.xml; give an MJCF file, a YAML file or menagerie:NAME"):
        with_model(SO101, "gone.xml")


@pytest.fixture
def menagerie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of models, and no way to any other."""
    pytest.importorskip("mujoco_menagerie")
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    monkeypatch.setenv("MENAGERIE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MENAGERIE_BASE_URL", "http://127.0.0.1:9")
    return tmp_path


def test_a_model_of_the_menagerie_takes_the_robots_place(menagerie: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENAGERIE_ROOT", str(menagerie))
    (menagerie / "unitree_go2").mkdir()
    saved(menagerie / "unitree_go2", go2_file(), "go2.xml")
    env = make("go2/joystick", "menagerie:unitree_go2")
    step = env.reset(np.ones(1, bool), Seeds(0))
    for _ in range(25):
        env.send(step.obs["applied"])
        step = env.recv()
    assert not step.last.any()
    with pytest.raises(UserError, match="has no entry point 'no'"):
        with_model(GO2, "menagerie:unitree_go2/no")


def test_nothing_is_downloaded_unasked(menagerie: Path) -> None:
    with pytest.raises(
        UserError, match="is not on this machine; to download it: mujoco-menagerie prefetch unitree_go2"
    ):
        with_model(GO2, "menagerie:unitree_go2")
    assert not (menagerie / "cache").exists()


def test_an_unknown_model_of_the_menagerie_is_said(menagerie: Path) -> None:
    with pytest.raises(UserError, match=r"menagerie:unitree_go3.*menagerie:unitree_go2"):
        with_model(GO2, "menagerie:unitree_go3")


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)
    with pytest.raises(UserError, match=r"needs pip install 'robo-rl\[menagerie\]'"):
        with_model(GO2, "menagerie:unitree_go2")

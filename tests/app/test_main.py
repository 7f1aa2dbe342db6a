"""The command line: help, and one line for every mistake."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from omegaconf import OmegaConf

from robo_rl.app.compose import compose
from robo_rl.app.help import chosen_entries, commands, entries, group_choices
from robo_rl.spec import Feature
from tests.app.support import assert_mistake, make_bundle

MISTAKES = [
    (["recrod"], ["recrod", "record"]),
    (["record", "episode=3"], ["episode:", "did you mean episodes?"]),
    (["record", "task.rig.nthred=3"], ["task.rig.nthred", "task.rig.nthread"]),
    (["record", "+new=3"], ["new:", "episodes"]),
    (["record", "episodes"], ["episodes", "key=value"]),
    (["record", "seed=1", "seed=2"], ["seed", "twice"]),
    (["record", "task=so101/juggle"], ["task=so101/juggle", "so101/insert_peg"]),
    (["record", "robot=hal9000"], ["robot=hal9000", "so101_sim"]),
    (["record", "source=dream"], ["source=dream", "policy, scripted"]),
    (["record", "source=policy"], ["run=", "run folder"]),
    (["record", "episodes=many"], ["episodes=many", "integer"]),
    (["record", "episodes=2.5"], ["episodes=2.5", "integer"]),
    (["record", "episodes=1,2"], ["episodes=1,2", "list"]),
    (["record", "episodes=0"], ["episodes=0", "at least 1"]),
    (["record", "episodes=inf"], ["episodes=inf", "integer"]),
    (["record", "episodes=nan"], ["episodes=nan", "integer"]),
    (["record", "episodes=null"], ["episodes=null", "at least 1"]),
    (["record", "seed=null"], ["seed=null", "0 to 999"]),
    (["record", "robot.description=null"], ["robot.description=null", "text"]),
    (["record", "+task.task.config.foo=1"], ["foo", "InsertPegConfig", "hold, hole_depth"]),
    (["record", "n=0"], ["n=0", "at least 1"]),
    (["record", "noise=-1"], ["noise=-1", "not below 0, or null"]),
    (["train", "learner.heads=0"], ["learner.heads=0", "at least 2"]),
    (["deploy", "priority=200"], ["priority=200", "0 to 99"]),
    (["record", "seed=1000"], ["seed=1000", "0 to 999"]),
    (["record", "out=[a"], ["out", "brackets"]),
    (["record", "robot=none"], ["robot=none"]),
    (["record", "robot.description=r2d2"], ["robot.description=r2d2", "so101"]),
    (["record", "task.rig._target_=os.system"], ["_target_=os.system", "sim.*"]),
    (["record", "task.rig._target_=sim.tasks.insert_peg.NAME"], ["_target_=sim.tasks.insert_peg.NAME"]),
    (["record", "task=gym"], ["env_id"]),
    (["record", "task=gym", "env_id=Pendulum-v1", "robot=so101_sim"], ["robot=so101_sim", "task=gym", "robot=none"]),
    (["record", "images=gif"], ["images=gif", "jpeg, png"]),
    (["view", "out=/proc/x.mp4"], ["out=/proc/x.mp4: cannot be written"]),
    (["doctor", "out=/proc/x"], ["out=/proc/x: cannot be written"]),
    (["home", "out=/proc/x"], ["out=/proc/x: cannot be written"]),
    (["find", "out=/proc/x"], ["out=/proc/x: cannot be written"]),
    (["find", "pictures=/proc/x"], ["pictures=/proc/x: cannot be written"]),
    (["reset", "out=/proc/x"], ["out=/proc/x: cannot be written"]),
    (["train", "-m", "base=missing", "learner.scale=0.1,0.2"], ["base=missing: no such folder"]),
    (["record", "task=gym", "env_id=Nothing-v0"], ["env_id=Nothing-v0"]),
    (["record", "task=gym", "env_id=Pendulum-v1"], ["expert"]),
    (["record", "task=gym", "env_id=Pendulum-v1", "expert=nowhere:nobody"], ["expert=nowhere:nobody"]),
    (["evaluate"], ["run=", "log="]),
    (["evaluate", "run=no/such/run"], ["run=no/such/run"]),
    (["evaluate", "log=no/such.mcap"], ["log=no/such.mcap"]),
    (["deploy"], ["run="]),
    (["deploy", "run=no/such/run"], ["run=no/such/run"]),
    (["replay"], ["log="]),
    (["replay", "log=no/such.mcap"], ["log=no/such.mcap"]),
    (["train", "learner=magic", "out=x"], ["learner=magic", "bc, expo, ibrl, qchunk"]),
    (["train"], ["base="]),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_one_line(robo_rl, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_mistake(robo_rl(*arguments), words)
    assert not (tmp_path / "runs").exists()


def test_help_lists_commands_and_keys(robo_rl):
    code, text, _ = robo_rl("--help")
    assert code == 0
    assert all(f"  {name} " in text for name in ("record", "train", "evaluate", "deploy", "replay", "doctor"))
    code, text, _ = robo_rl("record", "--help")
    assert code == 0
    assert all(f"  {key}=" in text for key in ("task", "robot", "source", "episodes", "seed", "noise", "out", "env_id"))
    assert all(task in text.split("choices: ")[1] for task in ("gym", "go2/joystick", "so101/insert_peg"))


def test_help_with_a_choice_lists_its_keys(robo_rl):
    code, text, _ = robo_rl("train", "learner=residual", "preset=robot", "--help")
    assert code == 0
    learner, preset = text.partition("learner=residual: ")[2].split("preset=robot: ")
    lines = {line.split()[0]: line for line in learner.splitlines()[1:] if line}
    assert lines["learner.scale=0.08"].endswith("of each action") and "learner.online.gate.auc=0.75" in lines
    assert lines["learner.online.noise_end=0.5"].endswith(
        "that at the beginning"
    )  # the learner's value, over the common
    assert "learner.online.steps=30000" in preset and not any("_target_" in line or "needs" in line for line in lines)
    assert_mistake(robo_rl("train", "learner=magic", "--help"), ["learner=magic", "bc, expo"])


@pytest.mark.parametrize("group", ["learner", "policy", "preset", "task"])
def test_help_knows_the_keys_that_are_composed(group):
    for choice in group_choices(group):
        config = compose("train", [f"{group}={choice}"])
        for shown, _ in chosen_entries(group, choice):
            key = shown.partition("=")[0]
            parent = OmegaConf.select(config, key.rpartition(".")[0])
            assert key.rpartition(".")[2] in parent


@pytest.mark.parametrize("command", commands())
def test_every_key_is_explained(command):
    assert [key for key, _, comment in entries(command) if not comment] == []


def test_help_is_quick():
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "robo_rl.app.main", "--help"], capture_output=True, check=False
    )
    assert done.returncode == 0 and time.monotonic() - start < 5
    assert not any(heavy in done.stderr for heavy in (b"torch", b"mujoco", b"hydra"))


def test_a_mistake_in_a_process_of_its_own():
    done = subprocess.run(
        [sys.executable, "-m", "robo_rl.app.main", "record", "x=1"], capture_output=True, text=True, check=False
    )
    assert_mistake((done.returncode, done.stdout, done.stderr), ["x"])


def test_an_earlier_run_is_not_overwritten(robo_rl, dataset):
    assert_mistake(robo_rl("record", "episodes=1", f"out={dataset}"), ["out=", "earlier run"])


def test_a_corrupted_bundle(robo_rl, run_folder, tmp_path):
    broken = shutil.copytree(run_folder, tmp_path / "broken")
    weights = broken / "policy/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert_mistake(robo_rl("evaluate", f"run={broken}"), ["run=", "corrupted"])
    (broken / "policy/policy.json").write_text("{")
    assert_mistake(robo_rl("deploy", f"run={broken}"), ["run=", "corrupted"])


def test_a_bundle_of_another_robot(robo_rl, tmp_path):
    other = make_bundle(tmp_path, act_spec=Feature((6,), low=-1, high=1, unit="N.m"))
    for command in ("evaluate", "deploy"):
        assert_mistake(robo_rl(command, f"run={other}"), ["does not fit", "action.unit", "N.m", "rad"])


def test_unknown_use(robo_rl, run_folder):
    assert_mistake(robo_rl("deploy", f"run={run_folder}", "use=magic"), ["use=magic", "base, residual"])


def test_a_bundle_may_not_import_a_module(robo_rl, run_folder, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    path = folder / "policy/policy.json"
    data = json.loads(path.read_text())
    data["meta"] |= {"task": "gym", "robot": "none", "env_id": "antigravity:Any-v0"}
    path.write_text(json.dumps(data))
    assert_mistake(robo_rl("evaluate", f"run={folder}"), ["env_id=antigravity:Any-v0", "import"])


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_valid_files(tmp_path):
    out = tmp_path / "d"
    command = [sys.executable, "-m", "robo_rl.app.main", "record", "episodes=100000", "n=8", f"out={out}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("log/*.mcap")) and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in error

    from robo_rl.data.dataset import load_dataset

    assert len(load_dataset(out)) > 0

"""System identification from the command line: numbers come back from a log of a simulation that was given them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from robo_rl.app.main import main
from robo_rl.log.reader import find_logs, read_log
from sim.identification import cut
from tests.app.support import assert_mistake

PLANTED = {"gain.shoulder_pan": 11.0, "damping.shoulder_pan": 1.0, "latency": 1.25}
SHORT = "task.task.config.limit=3"


@pytest.fixture(scope="module")
def reality(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of a robot whose shoulder is softer and slower than the description says, and whose commands come late."""
    folder = tmp_path_factory.mktemp("reality")
    (folder / "planted.yaml").write_text(yaml.safe_dump({"robot": "so101", "values": PLANTED}))
    arguments = ["episodes=4", "n=4", SHORT, f"robot.params={folder / 'planted.yaml'}", f"out={folder / 'log'}"]
    assert main(["record", *arguments]) == 0
    return folder / "log"


def fit(robo_rl, log: Path, out: Path, params: str) -> tuple[dict, Path]:
    few = ["windows=6", "seconds=0.5", "iterations=6", "n=64", "limit=0.3"]
    code, text, error = robo_rl("sysid", f"log={log}", f"params={params}", *few, f"out={out}")
    assert code == 0, error
    assert "what the logs can tell" in text
    return json.loads((out / "result.json").read_text()), out / "fit.yaml"


def test_sysid_finds_what_was_planted(robo_rl, reality, tmp_path):
    names = "[gain.shoulder_pan,damping.shoulder_pan,latency,mass.shoulder_pan]"
    found, path = fit(robo_rl, reality, tmp_path / "fit", names)
    for name, value in PLANTED.items():
        number = found["fitted"][name]
        assert number["value"] == pytest.approx(value, rel=0.03) and not number["at_bound"]
        assert number["ci_low"] < number["value"] < number["ci_high"]
    assert found["not_identifiable"] == ["mass.shoulder_pan"]  # it turns about a vertical axis
    end = found["held_out_error"]["at_end"]
    assert end["after"] < 0.2 * end["before"]
    assert yaml.safe_load(path.read_text())["values"].keys() == PLANTED.keys()
    again = tmp_path / "again"
    assert robo_rl("record", "episodes=1", "n=1", SHORT, f"robot.params={path}", f"out={again}")[0] == 0


def test_gap_names_the_cause(robo_rl, dataset, tmp_path):
    late = tmp_path / "late.yaml"
    late.write_text("robot: so101\nvalues: {latency: 2.0}\n")
    assert robo_rl("record", "episodes=1", "n=1", SHORT, f"robot.params={late}", f"out={tmp_path / 'log'}")[0] == 0
    arguments = ["seconds=0.4", "windows=2", "n=32"]
    code, text, error = robo_rl("gap", f"log={tmp_path / 'log'}", *arguments, f"out={tmp_path / 'gap'}")
    assert code == 0, error
    found = json.loads((tmp_path / "gap" / "result.json").read_text())
    assert found["causes"][0]["cause"] == "latency" and found["causes"][0]["detail"] == "2 ticks"
    assert len(found["causes"]) == 6 and "latency: 2 ticks" in text
    assert {len(values) for values in found["error_over_time"].values()} == {12}


def test_a_window_may_be_as_short_as_a_tick(dataset):
    episodes = read_log(find_logs(dataset)[0]).episodes
    assert cut(episodes, ticks=1, count=5, seed=0, blocked=0.1).position.shape[:2] == (5, 1)


@pytest.mark.parametrize("command", ["gap", "sysid"])
def test_a_log_of_another_robot_is_refused(robo_rl, dataset, tmp_path, command: str):
    out = f"out={tmp_path / 'out'}"
    koch = ["task=koch/lift", "robot=koch_sim", out]
    words = [f"log={dataset}", "does not fit robot=koch_sim", "joint_setpoint.low", "the log is of robot=so101_sim"]
    assert_mistake(robo_rl(command, f"log={dataset}", *koch), words)
    other = ["task=ur5e/lift", "robot=ur5e_sim", out]
    words = ["does not fit robot=ur5e_sim", "joint_position.names", "wrist_3"]
    assert_mistake(robo_rl(command, f"log={dataset}", *other), words)
    assert not (tmp_path / "out").exists()


def test_mistakes(robo_rl, dataset, tmp_path):
    assert_mistake(robo_rl("sysid"), ["log=", "needs"])
    assert_mistake(robo_rl("gap"), ["log=", "needs"])
    assert_mistake(robo_rl("sysid", f"log={dataset}", "params=[dampness]"), ["params=dampness", "armature"])
    assert_mistake(robo_rl("sysid", f"log={dataset}", "robot=so101", "robot.bus=emulated"), ["not simulated"])
    path = tmp_path / "fit.yaml"
    for text, words in (
        ("robot: so101\nvalues: {gain.nose: 1.0}\n", ["gain.nose"]),
        ("robot: so101\nvalues: {latency: -1}\n", ["latency=-1.0", "below 0"]),
        ("robot: so101\nvalues: {latency: 9}\n", ["latency=9.0", "at most"]),
        ("robot: koala\nvalues: {latency: 1}\n", ["koala"]),
        ("values: [1, 2]\n", ["fit.yaml", "values"]),
    ):
        path.write_text(text)
        assert_mistake(robo_rl("record", "episodes=1", f"robot.params={path}", f"out={tmp_path / 'r'}"), words)
    path.write_text("robot: so101\nvalues: {latency: 1}\n")
    both = ["task.rig.randomise=train", f"robot.params={path}", f"out={tmp_path / 'r'}"]
    assert_mistake(robo_rl("record", "episodes=1", *both), ["randomise", "one of the two"])

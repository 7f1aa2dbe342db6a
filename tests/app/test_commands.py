"""The commands do their job and say so in result.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from robo_rl.app.help import summary
from robo_rl.data.dataset import load_dataset
from robo_rl.seeds import Role, seed_of
from tests.app.support import assert_mistake

EVALUATE = {
    "task", "run", "episodes", "seed", "success_rate", "ci_low", "ci_high", "return_mean", "episode_length_mean",
    "env_steps_trained", "wall_clock_s", "machine", "rows",
}  # fmt: skip
DEPLOY = {
    "ticks", "rate_hz", "wake_p50_us", "wake_p99_us", "wake_max_us", "deadline_misses", "faults", "success_rate",
}  # fmt: skip


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def deployed(run_folder, tmp_path_factory) -> Path:
    """A deployment of three episodes of a third of a second."""
    from robo_rl.app.main import main

    out = tmp_path_factory.mktemp("deploy") / "out"
    assert main(["deploy", f"run={run_folder}", "episodes=3", "task.task.config.limit=0.34", f"out={out}"]) == 0
    return out


def test_record_writes_a_dataset(dataset):
    loaded = load_dataset(dataset)
    assert len(loaded) == 3
    assert {episode.seed for episode in loaded.episodes} == {seed_of(Role.DEMONSTRATE, 0, i) for i in range(3)}
    assert {path.name for path in dataset.iterdir()} >= {"config.yaml", "spec.json", "stats.json", "result.json", "log"}
    assert loaded.meta["task"] == "so101/insert_peg" and loaded.meta["robot"] == "so101_sim"


def test_record_a_gymnasium_environment(robo_rl, tmp_path, monkeypatch):
    (tmp_path / "my_expert.py").write_text("def act(obs):\n    return [0.0]\n")
    monkeypatch.syspath_prepend(tmp_path)
    env = ["task=gym", "env_id=Pendulum-v1", "env_kwargs={g:5.0}", "expert=my_expert:act"]
    code, _, error = robo_rl("record", *env, "episodes=2", f"out={tmp_path / 'd'}")
    assert code == 0, error
    loaded = load_dataset(tmp_path / "d")
    assert len(loaded) == 2 and loaded.meta["env_kwargs"] == {"g": 5.0}
    code, _, error = robo_rl("replay", f"log={tmp_path / 'd'}", f"out={tmp_path / 'r'}")
    assert code == 0, error
    assert result(tmp_path / "r")["identical"]


def test_record_a_policy(robo_rl, run_folder, tmp_path):
    code, _, error = robo_rl("record", "source=policy", f"run={run_folder}", "episodes=1", f"out={tmp_path / 'd'}")
    assert code == 0, error
    assert len(load_dataset(tmp_path / "d")) == 1


def test_evaluate_a_run(robo_rl, run_folder, tmp_path):
    for name in ("a", "b"):
        code, text, error = robo_rl("evaluate", f"run={run_folder}", "episodes=4", "n=3", f"out={tmp_path / name}")
        assert code == 0, error
        assert "success" in text
    found, again = result(tmp_path / "a"), result(tmp_path / "b")
    assert found.keys() >= EVALUATE
    assert found["rows"] == again["rows"] and found["env_steps_trained"] == 7
    assert [row["seed"] for row in found["rows"]] == [seed_of(Role.REPORT, 0, i) for i in range(4)]


def test_evaluate_logs(robo_rl, dataset, tmp_path):
    code, _, error = robo_rl("evaluate", f"log={dataset}/log/*.mcap", f"out={tmp_path / 'e'}")
    assert code == 0, error
    found, recorded = result(tmp_path / "e"), result(dataset)
    assert found.keys() >= EVALUATE
    for row, other in zip(found["rows"], recorded["rows"], strict=True):
        told = {key: row[key] for key in other}
        assert told.pop("smoothness") == pytest.approx(other.pop("smoothness"), rel=1e-9)  # summed in another order
        assert told == other


def test_deploy_says_how_it_went(deployed):
    found = result(deployed)
    assert found.keys() >= DEPLOY
    assert found["episodes"] == 3 and found["faults"] == 0
    assert 20 < found["rate_hz"] < 31
    assert list(deployed.glob("log/*.mcap"))


def test_deploy_shadow_sends_nothing(robo_rl, run_folder, tmp_path):
    out = tmp_path / "s"
    code, _, error = robo_rl("deploy", f"run={run_folder}", "shadow=true", "seconds=0.4", f"out={out}")
    assert code == 0, error
    from robo_rl.log.reader import read_log

    episode = read_log(next(out.glob("log/*.mcap"))).episodes[0]
    assert np.abs(episode.action).sum() > 0
    assert (episode.obs["applied"] == episode.obs["applied"][0]).all()


def test_replay_actions_repeats_the_deployment(robo_rl, deployed, tmp_path):
    code, _, error = robo_rl("replay", f"log={deployed}", "task.task.config.limit=0.34", f"out={tmp_path / 'r'}")
    assert code == 0, error
    found = result(tmp_path / "r")
    assert found["mode"] == "actions" and found["identical"] and found["missed"] == 0
    assert found["signals"]["obs/joint_position"] == {"max_abs_error": 0.0, "mean_abs_error": 0.0, "identical": True}


def test_replay_audit_repeats_the_policy(robo_rl, deployed, run_folder, tmp_path):
    code, _, error = robo_rl("replay", f"log={deployed}", "mode=audit", f"run={run_folder}", f"out={tmp_path / 'r'}")
    assert code == 0, error
    found = result(tmp_path / "r")
    assert found["identical"] and {"action/commanded", "action/base"} <= found["signals"].keys()


def test_replay_audit_sees_another_policy(robo_rl, deployed, run_folder, tmp_path):
    arguments = ["mode=audit", "use=base", f"run={run_folder}", f"out={tmp_path / 'r'}"]
    assert robo_rl("replay", f"log={deployed}", *arguments)[0] == 0
    assert "action/commanded" in result(tmp_path / "r")["signals"]


def test_replay_refuses_what_does_not_fit(robo_rl, dataset, run_folder, tmp_path):
    pendulum = ["task=gym", "env_id=Pendulum-v1"]
    assert_mistake(robo_rl("replay", f"log={dataset}", *pendulum), ["log=", "does not fit", "so101_sim"])
    assert_mistake(robo_rl("replay", f"log={dataset}", "mode=poses"), ["mode=poses", "actions, audit, states"])
    assert_mistake(robo_rl("replay", f"log=[{dataset},{dataset}/log]", "episodes=3"), ["episodes"])


def test_a_log_without_its_end_is_replayed(robo_rl, dataset, tmp_path):
    log = shutil.copy(next(dataset.glob("log/*.mcap")), tmp_path / "cut.mcap")
    with open(log, "r+b") as file:
        file.truncate(Path(log).stat().st_size - 3000)
    code, _, error = robo_rl("replay", f"log={log}", f"out={tmp_path / 'r'}")
    assert code in (0, 2) and "Traceback" not in error


def test_doctor(robo_rl, tmp_path):
    code, text, error = robo_rl("doctor", "seconds=0.1", f"out={tmp_path}")
    assert code == 0, error
    found = result(tmp_path)
    assert {"rendering", "simulation", "pacing", "accelerator", "versions"} <= found.keys()
    assert "rendering" in text


def test_summaries_are_sentences():
    assert summary("doctor").startswith("Says what this machine can do")

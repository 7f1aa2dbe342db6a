"""Every benchmark returns well-formed rows, on budgets that say nothing about speed."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import cameras, kill, pacing, pipeline, reseeded, rows, simulated, tick, update
from benchmarks.__main__ import main
from benchmarks.command import number
from benchmarks.peers import STRIDE


def assert_well_formed(found: list[rows.Row], names: list[str]) -> None:
    assert [row.name for row in found] == names
    for row in found:
        assert row.value > 0 and row.unit and row.note
        assert (row.peer is None) == (row.peer_value is None) == (row.ratio is None)
        assert json.loads(json.dumps(row.to_json()))["name"] == row.name


def test_pipeline():
    tasks = ("so101/insert_peg", "go2/joystick")
    found = pipeline.measure((pipeline.Size(64, 3, 1), pipeline.Size(128, 2, 1, skip=1)), workers=(1,), tasks=tasks)
    assert_well_formed(found, [f"pipeline {task} N={n}" for task in tasks for n in (64, 128)])
    assert [row.peer for row in found] == ["AsyncVectorEnv"] * 4
    assert all(row.share_of_bound > 0 for row in found)
    assert "5 physics steps of 4.00 ms" in found[-1].note and "own Gymnasium environment" in found[-1].note


ROBOSUITE = """
import types, numpy
def make(name, robots, **keys):
    print("greetings")
    spec = -numpy.ones(7), numpy.ones(7)
    return types.SimpleNamespace(reset=lambda: None, step=lambda action: None, action_spec=spec)
"""


def test_simulated_time_beside_another_interpreters_robosuite(tmp_path, monkeypatch):
    (tmp_path / "robosuite.py").write_text(ROBOSUITE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(simulated, "install", lambda venv, requirements: sys.executable)
    found = simulated.measure(pipeline.Size(64, 2, 1), steps=3)
    assert_well_formed(found, ["simulated time so101/lift"])
    assert found[0].unit == "s/s" and found[0].peer == "robosuite Lift" and "processes" in found[0].note


def test_simulated_time_without_robosuite(tmp_path):
    (tmp_path / "file").touch()
    found = simulated.measure(pipeline.Size(64, 2, 1), venv=tmp_path / "file" / "venv")
    assert_well_formed(found, ["simulated time so101/lift"])
    assert found[0].peer is None and "not installed" in found[0].note


def test_a_tasks_own_environment_goes_on_with_the_seed_of_its_row():
    one, other = reseeded.make("so101/lift"), reseeded.make("so101/lift")
    one.reset(seed=5)
    first, _ = one.reset()
    second, _ = other.reset(seed=5 + STRIDE)
    assert all((first[key] == second[key]).all() for key in first)
    one.close(), other.close()


def test_cameras():
    found = cameras.measure(cameras.Budget(n=2, ticks=2, rounds=1, tasks=("ur5e/lift",)))
    assert_well_formed(found, ["cameras ur5e/lift 84x84"])
    assert found[0].peer == cameras.PEER and "wide, wrist" in found[0].note


UPDATES = ["update critics=2", *(f"update critics=2, {peer}" for peer in update.PEERS[1:])]
UPDATES += ["update td3 critics=2", "update sac critics=2"]
SMALL = update.Budget((2,), rounds=1, updates=2, replay=2000)


def test_updates_without_sbx(tmp_path):
    (tmp_path / "file").touch()
    found = update.measure(SMALL, tmp_path / "file" / "venv")
    assert_well_formed(found, UPDATES)
    assert [row.peer for row in found] == ["SB3 TD3", "SB3 SAC", None, None, "SB3 TD3", "SB3 SAC"]
    assert found[0].share_of_bound is not None and "not installed" in found[2].note


def test_updates_beside_another_interpreters_sbx(tmp_path, monkeypatch):
    (tmp_path / "sbx.py").write_text("from stable_baselines3 import SAC, TD3")  # its models have the same methods
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(update, "install", lambda venv, requirements: sys.executable)
    found = update.measure(SMALL)
    assert_well_formed(found, UPDATES)
    assert [row.peer for row in found] == [*update.PEERS, "SB3 TD3", "SB3 SAC"]


def test_tick():
    found = tick.measure(tick.Budget(ticks=20, rate=200.0, learner=False))
    names = ["tick N=1 p50", "tick N=1 p99", "tick N=1 p99.9", "tick N=1 observation age p99"]
    assert_well_formed(found, names)
    assert found[0].value <= found[1].value <= found[2].value
    assert found[1].bound == 1000.0


def test_rows_are_written_and_shown(tmp_path, capsys):
    found = [rows.Row("a", 10.0, "steps/s", "peer", 5.0, 20.0, "note"), rows.Row("b", 1.0, "us")]
    rows.write(tmp_path / "bench.json", found, "machine")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written[0]["ratio"] == 2.0 and written[0]["share_of_bound"] == 0.5
    assert written[1]["peer"] is None and written[1]["ratio"] is None
    assert set(rows.COLUMNS) <= set(written[0])
    rows.show(found, "machine")
    assert "a: note" in capsys.readouterr().out


def test_candidates_take_turns():
    order: list[tuple[str, int]] = []

    def candidate(name: str):
        return lambda number: order.append((name, number)) or float(number)

    assert rows.in_turns({"a": candidate("a"), "b": candidate("b")}, 3) == {"a": 2.0, "b": 2.0}
    assert order[:4] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_the_bound_counts_the_products_of_an_update():
    few, many = update.flops(2), update.flops(10)
    assert 3 < many / few < 5  # ten heads of the critic, but two of the target and one correction


def test_a_bare_loop_keeps_its_rate():
    found = pacing.bare(0.05, dt=0.005)
    assert found["ticks"] == 10 and found["wake_max_us"] >= found["wake_p50_us"] >= 0


def test_a_kill_before_anything_was_logged_loses_nothing(tmp_path):
    trial = kill.check_logs("record", 0.1, 1.0, tmp_path)
    assert trial.ok and trial.loss_s is None
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "record-row000.mcap").write_bytes(b"\x89MCAP0\r\n")
    trial = kill.check_logs("record", 0.1, 1.0, tmp_path)
    assert trial.ok and "before the first header" in trial.finding


@pytest.mark.parametrize("arguments", [["nothing"], ["kill", "times=-1"], ["pacing", "when=1"], ["kill", "20"]])
def test_mistakes_are_one_line(arguments, capsys):
    assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("benchmarks: error: ")


def test_numbers_are_taken_out_of_the_keys():
    keys = {"seconds": "2.5"}
    assert number(keys, "seconds", 60.0) == 2.5 and not keys

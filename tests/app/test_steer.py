"""`learner=value` and `steer=`: a value learned from logs chooses among what a base proposes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policies.bundle import load_bundle
from policies.chunk_actor import ChunkActor
from robo_rl.app.main import main
from tests.app.test_train import TINY_BC

LIFT = "task=so101/lift"
VALUE = ("learner.updates=20", "learner.hidden=[32]", "learner.heads=2", "learner.episodes=4", "learner.rows=4",
         "learner.batch=64", "learner.held_out=0.5", "threads=1")  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow cloned from demonstrations, and logs with successes (the expert's) and failures (the weak clone's)."""
    root = tmp_path_factory.mktemp("steer")
    assert main(["record", LIFT, "episodes=4", "n=4", f"out={root / 'good'}"]) == 0
    learned = ["train", "learner=bc", "policy=flow", f"dataset={root / 'good'}", *TINY_BC]
    assert main([*learned, f"out={root / 'flow'}"]) == 0
    recorded = ["record", "source=policy", f"run={root / 'flow'}", "episodes=4", "n=4", "seed=1"]
    assert main([*recorded, "task.task.config.limit=2.0", f"out={root / 'bad'}"]) == 0
    data = f"dataset=[{root / 'good'},{root / 'bad'}]"
    trained = ["train", LIFT, "learner=value", f"base={root / 'flow'}", data, *VALUE]
    assert main([*trained, f"out={root / 'value'}"]) == 0
    return root


def test_the_run_says_how_much_it_knows(place: Path) -> None:
    result = json.loads((place / "value" / "result.json").read_text())
    assert (result["successes"], result["failures"]) == (4, 4)
    assert 0.0 <= result["held_out_auc"] <= 1.0 and result["success_rate"] is not None
    assert isinstance(load_bundle(place / "value").actor, ChunkActor)


def test_steering_changes_what_is_chosen_and_not_the_base(place: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (place / "flow").rglob("*") if path.is_file()}
    short = [f"run={place / 'flow'}", "episodes=1", "task.task.config.limit=1.0"]
    lengths = {}
    for name, steer in {"base": [], "one": ["candidates=1"], "four": ["candidates=4"]}.items():
        given = [f"steer={place / 'value'}", *steer] if steer else []
        assert main(["evaluate", *short, *given, f"out={tmp_path / name}"]) == 0
        log = next((tmp_path / name / "log").glob("*.mcap"))
        assert (
            main(["replay", f"log={log}", f"run={place / 'flow'}", "mode=audit", f"out={tmp_path / name / 'r'}"]) == 0
        )
        lengths[name] = json.loads((tmp_path / name / "r" / "result.json").read_text())["identical"]
    assert lengths == {"base": True, "one": True, "four": False}  # of one candidate there is nothing to choose
    assert before == {path: path.read_bytes() for path in (place / "flow").rglob("*") if path.is_file()}


def test_mistakes_are_one_line(place: Path, tmp_path: Path, run_folder: Path, capsys: pytest.CaptureFixture) -> None:
    steer = f"steer={place / 'value'}"
    cases = [
        (["evaluate", f"run={place / 'flow'}", "steer=no/such"], "steer=no/such: no such folder"),
        (["evaluate", f"run={place / 'flow'}", f"steer={place / 'flow'}"], "holds no value of chunks"),
        (["evaluate", f"run={place / 'flow'}", steer, "candidates=0"], "candidates=0"),
        (["evaluate", f"run={run_folder}", steer], "does not fit"),
    ]
    for arguments, words in cases:
        assert main([*arguments, f"out={tmp_path / 'out'}"]) == 2
        assert words in capsys.readouterr().err and not (tmp_path / "out").exists()
    judged = ["evaluate", f"run={place / 'flow'}", steer, f"log={place / 'bad'}", f"out={tmp_path / 'out'}"]
    assert main(judged) == 2 and "has to run" in capsys.readouterr().err
    only_good = ["train", LIFT, "learner=value", f"base={place / 'flow'}", f"dataset={place / 'good'}", *VALUE]
    assert main([*only_good, f"out={tmp_path / 'v'}"]) == 2
    assert "4 of 4 episodes succeeded" in capsys.readouterr().err


def test_a_base_that_proposes_one_chunk_is_valued_but_not_steered(place: Path, tmp_path: Path) -> None:
    data = f"dataset=[{place / 'good'},{place / 'bad'}]"
    learned = ["train", "learner=bc", f"dataset={place / 'good'}", *TINY_BC]
    assert main([*learned, f"out={tmp_path / 'mlp'}"]) == 0
    valued = ["train", LIFT, "learner=value", f"base={tmp_path / 'mlp'}", data, *VALUE, f"out={tmp_path / 'value'}"]
    assert main(valued) == 0
    assert json.loads((tmp_path / "value" / "result.json").read_text())["success_rate"] is None
    steer = ["evaluate", f"run={tmp_path / 'mlp'}", f"steer={tmp_path / 'value'}", f"out={tmp_path / 'e'}"]
    assert main(steer) == 2
    assert not np.isnan(load_bundle(tmp_path / "mlp").network.action.std.numpy()).any()

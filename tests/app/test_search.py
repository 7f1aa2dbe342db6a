"""`train -m`: what is varied, one run a combination, going on after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robo_rl.app.main import main
from robo_rl.app.search import FIRST_SEED, parse
from robo_rl.errors import UserError
from tests.app.test_train import TINY_BC


def search(dataset: Path, out: Path, *arguments: str) -> list[str]:
    return ["train", "-m", "learner=bc", f"dataset={dataset}", f"out={out}", *TINY_BC, *arguments]


def test_every_combination_is_run_once_and_the_best_is_named(dataset: Path, tmp_path: Path) -> None:
    arguments = search(dataset, tmp_path, "learner.config.lr=1e-3,1e-4", "learner.config.batch=choice(32)")
    assert main(arguments) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    tried = {tuple(trial["params"].values()) for trial in result["trials"]}
    assert tried == {(1e-3, 32), (1e-4, 32)} and len(result["trials"]) == 2
    assert result["best"]["success_rate"] == max(trial["success_rate"] for trial in result["trials"])
    folders = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(folders) == 2 and all(path.name.endswith(f"-{FIRST_SEED}") for path in folders)
    before = {path: path.stat().st_mtime for path in tmp_path.glob("*/result.json")}
    assert main(arguments) == 0  # all is there
    assert before == {path: path.stat().st_mtime for path in tmp_path.glob("*/result.json")}
    assert main([*arguments[:-1], "learner.config.batch=choice(32,128)"]) == 2  # another search in the same folder


def test_a_killed_search_goes_on(dataset: Path, tmp_path: Path) -> None:
    arguments = search(dataset, tmp_path, "learner.config.lr=tag(log,interval(1e-4,1e-2))", "trials=2")
    process = subprocess.Popen([sys.executable, "-m", "robo_rl.app.main", *arguments], start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*/config.yaml")) and time.monotonic() < deadline:
        time.sleep(0.05)
    subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
    assert process.wait() == -signal.SIGKILL
    begun = next(tmp_path.glob("*/config.yaml")).parent
    assert not (tmp_path / "result.json").exists()
    assert main(arguments) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert len(result["trials"]) == 2 and (begun / "result.json").exists()
    assert all(1e-4 <= trial["params"]["learner.config.lr"] <= 1e-2 for trial in result["trials"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["learner.scale=0.1"], "no key has several values"),
        (["learner.scale=interval(0.1,0.2)"], "trials="),
        (["learner.scael=0.1,0.2"], "did you mean learner.scale"),
        (["learner.scale=0.1,0.2", "seed=3"], "seed=3: a search trains on seeds of its own"),
        (["learner.scale=0.1,0.2", "trials=many"], "trials=many: expected a whole number"),
        (["learner.scale=0.1,x"], "expected a number"),
    ],
)
def test_mistakes_are_told_before_anything_runs(tmp_path: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        parse([*arguments, "base=b", f"out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_only_train_has_a_multirun(capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", "-m", "episodes=1,2"]) == 2
    assert "evaluate -m: only train" in capsys.readouterr().err

"""`distil`: a policy's episodes become a base, a residual learns on it, and an interrupted round goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policies.bundle import load_bundle
from robo_rl.app.main import main
from robo_rl.data.dataset import load_dataset
from tests.app.support import assert_mistake
from tests.app.test_train import TINY, TINY_BC


def keys(name: str, given: tuple[str, ...]) -> str:
    pairs = [item.partition("=") for item in given if not item.startswith("task.")]
    return f"{name}={{{','.join(f'{key}:{value}' for key, _, value in pairs)}}}"


@pytest.fixture(scope="module")
def expert_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that lifts most of the time."""
    root = tmp_path_factory.mktemp("clone")
    assert main(["record", "task=so101/lift", "episodes=12", "n=12", f"out={root / 'data'}"]) == 0
    learned = [item.replace("updates=40", "updates=300") for item in TINY_BC]
    assert main(["train", "learner=bc", f"dataset={root / 'data'}", f"out={root / 'base'}", *learned]) == 0
    return root / "base"


def test_a_policy_is_recorded_cloned_and_learned_upon(expert_clone: Path, tmp_path: Path) -> None:
    out = tmp_path / "distilled"
    arguments = [
        "distil", f"run={expert_clone}", "episodes=6", "n=6", "again=true", "report_episodes=4", f"out={out}",
        keys("base", TINY_BC), keys("residual", (*TINY, "learner.online.steps=600")),
    ]  # fmt: skip
    assert main(arguments) == 0
    result = json.loads((out / "result.json").read_text())
    assert [Path(step["run"]).name for step in result["steps"]] == ["base", "base", "residual"]
    assert {"mean", "ci_low", "ci_high"} == set(result["paired_difference"])
    place = out / "round-0"
    recorded = load_dataset(str(place / "dataset")).episodes
    assert len(recorded) == 6 and any(episode.succeeded for episode in recorded)
    clone, residual = load_bundle(place / "base"), load_bundle(place / "residual")
    assert residual.meta["base"] == str(place / "base") and clone.actor is None
    assert np.array_equal(clone.network.observation.mean, residual.network.observation.mean)
    assert main(arguments) == 2  # it is done
    (out / "result.json").unlink()
    before = (place / "base" / "result.json").stat().st_mtime
    assert main(arguments) == 0  # nothing is done twice
    assert (place / "base" / "result.json").stat().st_mtime == before
    (out / "result.json").unlink()
    assert main([argument.replace("episodes=6", "episodes=7") for argument in arguments]) == 2


def test_the_clones_network_is_chosen(robo_rl, expert_clone: Path, tmp_path: Path, monkeypatch) -> None:
    steps: list[tuple[str, ...]] = []

    monkeypatch.setattr("robo_rl.app.distil.step", lambda folder, *arguments: steps.append(arguments) or {})
    monkeypatch.setattr("robo_rl.app.distil._result", lambda config, reports: {})
    monkeypatch.setattr("robo_rl.app.session.rate", lambda report: "")
    for name, given, expected in (
        ("usual", [], ["policy=mlp"]),
        ("flow", ["policy=flow", "policy.horizon=8"], ["policy=flow", "policy.horizon=8"]),
    ):
        code, _, error = robo_rl("distil", f"run={expert_clone}", *given, f"out={tmp_path / name}")
        assert code == 0, error
        cloned = next(step for step in reversed(steps) if step[0] == "train")
        assert [item for item in cloned if item.startswith("policy")] == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("policy=cnn", ["policy=cnn", "flow, mlp"]),
        ("n=0", ["n=0", "at least 1"]),
        ("base={foo:1}", ["foo: unknown key of train"]),
        ("base={learner.config.updates:many}", ["learner.config.updates=many", "integer"]),
        ("residual={learner.config.foo:1}", ["learner.config.foo: unknown key of train"]),
    ],
)
def test_mistakes_are_told_before_anything_runs(robo_rl, expert_clone, tmp_path, given: str, words: list[str]) -> None:
    out = tmp_path / "out"
    assert_mistake(robo_rl("distil", f"run={expert_clone}", "again=true", given, f"out={out}"), words)
    assert not out.exists()


def test_without_a_policy_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["distil", f"out={tmp_path / 'out'}"]) == 2
    assert "run=: distil needs" in capsys.readouterr().err
    assert main(["distil", f"run={tmp_path}", f"out={tmp_path / 'out'}"]) == 2
    assert f"run={tmp_path}: no policy there" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

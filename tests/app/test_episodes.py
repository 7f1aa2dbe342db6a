"""Episodes of a dataset: appended, left out, taken back in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from robo_rl.data.dataset import load_dataset
from robo_rl.data.excluded import FILE
from robo_rl.log.reader import find_logs
from tests.app.support import assert_mistake


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """Three demonstrations."""
    shutil.copytree(dataset, tmp_path / "copy")
    return tmp_path / "copy"


def seeds(folder: Path) -> list[int]:
    return sorted(episode.seed for episode in load_dataset(folder).episodes)


def test_what_is_left_out_is_not_learned_from_and_comes_back(robo_rl, copy) -> None:
    before, logs = seeds(copy), {path: path.read_bytes() for path in find_logs(copy)}
    code, text, error = robo_rl("episodes", f"dataset={copy}", "drop=[0,2]")
    assert code == 0 and text.count("left out") == 2, error
    kept = seeds(copy)
    assert len(kept) == 1 and set(kept) < set(before)
    assert json.loads((copy / "dataset.json").read_text())["episodes"] == 1
    assert [e.seed for e in load_dataset(copy / "log").episodes] == kept  # however the dataset is named
    assert robo_rl("episodes", f"dataset={copy}", "restore=[0,2]")[0] == 0
    assert seeds(copy) == before and {path: path.read_bytes() for path in find_logs(copy)} == logs


def test_looking_changes_nothing(robo_rl, copy) -> None:
    code, text, _ = robo_rl("episodes", f"dataset={copy}")
    assert code == 0 and text.count("seed") == 3 and not (copy / FILE).exists()


def test_appended_episodes_go_on_with_the_seeds(robo_rl, copy) -> None:
    before = seeds(copy)
    code, _, error = robo_rl("record", "append=true", "episodes=2", "n=2", f"out={copy}")
    assert code == 0, error
    assert seeds(copy) == [*before, before[-1] + 1, before[-1] + 2]
    assert json.loads((copy / "dataset.json").read_text())["episodes"] == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("episodes",), ["dataset=: the folder"]),
        (("episodes", "dataset={copy}/stats.json", "drop=[0]"), ["stats.json: is one file", "folder of a dataset"]),
        (("episodes", "dataset={copy}", "drop=[3]"), ["drop=3", "0 to 2"]),
        (("episodes", "dataset={copy}", "drop=[0,1,2]"), ["leaves no episode"]),
        (("record", "append=true"), ["append=true: needs out="]),
        (("record", "append=true", "out={copy}/nowhere"), ["no such file"]),
        (("record", "append=true", "task=so101/lift", "out={copy}"), ["append=true: the observations differ"]),
    ],
)
def test_what_cannot_be_is_said(robo_rl, copy, arguments, words) -> None:
    assert_mistake(robo_rl(*(argument.format(copy=copy) for argument in arguments)), words)


def test_a_damaged_list_is_refused(robo_rl, copy) -> None:
    (copy / FILE).write_text('{"excluded": 3}')
    assert_mistake(robo_rl("episodes", f"dataset={copy}"), [FILE, "damaged"])

"""Folders of logs as datasets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from robo_rl.data.dataset import load_dataset, write_statistics
from robo_rl.errors import SpecMismatch, UserError
from robo_rl.log import recorder as module
from robo_rl.log.recorder import Recorder
from robo_rl.spec import Feature, Spec
from robo_rl.types import Kind
from tests.log.streams import constant, play


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two logs of many small chunks, four episodes each."""
    monkeypatch.setattr(module, "CHUNK", 1)
    play(tmp_path / "data", n=2, episodes=8)
    return tmp_path / "data"


def cut(path: Path) -> None:
    """Cut a log in the middle of its chunks."""
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    chunk = summary.chunk_indexes[len(summary.chunk_indexes) // 2]
    path.write_bytes(path.read_bytes()[: chunk.chunk_start_offset + 40])


def record(folder: Path, obs: Spec, kinds: list[Kind], value: float = 0.0, dt: float = 0.1) -> None:
    act = Feature((2,), names=("x", "y"))
    with Recorder(folder, obs, act, Spec({}), {"name": f"made{len(list(folder.glob('*')))}"}, dt) as recorder:
        for step, action in constant(obs, act, Spec({}), kinds, np.random.default_rng(0)):
            for array in (*step.obs.values(), step.applied, action.value):
                array[:] = value
            recorder(step, action)


def test_statistics_agree_with_numpy(folder: Path) -> None:
    written = write_statistics(folder)
    loaded = load_dataset(folder)
    stats = json.loads((folder / "stats.json").read_text())
    assert stats == written.statistics == loaded.statistics
    arrays = {f"obs/{key}": [e.obs[key] for e in loaded.episodes] for key in loaded.obs_spec}
    arrays["action/applied"] = [e.applied[1:] for e in loaded.episodes]
    arrays["action/commanded"] = [e.action[:-1] for e in loaded.episodes]
    assert stats.keys() == arrays.keys()
    for name, parts in arrays.items():
        rows = np.concatenate(parts).astype(np.float64)
        assert stats[name]["count"] == len(rows)
        for what in ("min", "max", "mean", "std"):
            assert np.allclose(stats[name][what], getattr(np, what)(rows, axis=0), rtol=1e-10, atol=1e-12), (name, what)


def test_summary(folder: Path) -> None:
    dataset = write_statistics(folder)
    summary = json.loads((folder / "dataset.json").read_text())
    assert summary["episodes"] == len(dataset) == 8 and summary["incomplete"] == dataset.incomplete == 0
    assert summary["successes"] == dataset.successes == sum(e.succeeded for e in dataset.episodes)
    assert 0 < dataset.successes < 8, "failures are kept"
    assert summary["frames"] == dataset.frames and summary["task"] == "reach" and summary["dt"] == dataset.dt == 0.1
    assert Spec.from_json(summary["spec"]["obs"]) == dataset.obs_spec
    assert not list(folder.glob("*.partial"))


def test_several_folders_are_one_dataset(folder: Path, tmp_path: Path) -> None:
    play(tmp_path / "more", episodes=3, start=100)
    assert len(load_dataset([folder, tmp_path / "more"])) == len(load_dataset(str(tmp_path / "*"))) == 11


def test_incomplete_episodes_are_left_out_and_counted(folder: Path) -> None:
    cut(folder / "log-row001.mcap")
    dataset = load_dataset(folder)
    assert dataset.incomplete == 1 and 4 < len(dataset) < 8
    assert all(episode.complete for episode in dataset.episodes)


def test_a_truncated_dataset_is_refused(folder: Path) -> None:
    write_statistics(folder)
    path = folder / "log-row001.mcap"
    cut(path)
    with pytest.raises(UserError, match=r"dataset=.*promises 8 \(cut short: log-row001.mcap\)"):
        load_dataset(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"promises 8 \(files are missing\)"):
        load_dataset(folder)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json: damaged"):
        load_dataset(folder)


def test_nothing_to_load(tmp_path: Path) -> None:
    for missing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=f"dataset={missing}"):
            load_dataset(missing)
    record(tmp_path, Spec({"x": Feature((1,))}), [Kind.FIRST, Kind.MID])
    with pytest.raises(UserError, match=r"no complete episode \(1 incomplete\)"):
        load_dataset(tmp_path)
    with pytest.raises(UserError, match="out="):
        write_statistics(tmp_path)
    assert not (tmp_path / "dataset.json").exists()


def test_mismatched_logs_are_refused(tmp_path: Path) -> None:
    kinds = [Kind.FIRST, Kind.LAST]
    record(tmp_path, Spec({"x": Feature((1,), unit="rad")}), kinds)
    record(tmp_path, Spec({"x": Feature((1,), unit="m")}), kinds)
    with pytest.raises(SpecMismatch, match=r"x\.unit: rad != m"):
        load_dataset(tmp_path)
    with pytest.raises(SpecMismatch, match=r"made0.* and made1"):
        write_statistics(tmp_path)


def test_another_period_is_refused(tmp_path: Path) -> None:
    for dt in (0.1, 0.05):
        record(tmp_path, Spec({"x": Feature((1,))}), [Kind.FIRST, Kind.LAST], dt=dt)
    with pytest.raises(SpecMismatch, match=r"dt: 0.1 != 0.05"):
        load_dataset(tmp_path)


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    record(tmp_path, Spec({"x": Feature((1,))}), [Kind.FIRST, Kind.LAST], np.nan)
    with pytest.raises(UserError, match=r"obs/x is not finite in the episode with seed"):
        write_statistics(tmp_path)


def test_images_and_scalars_have_a_number_a_channel(tmp_path: Path) -> None:
    obs = Spec({"image": Feature((4, 5, 3), "uint8", 0, 255), "count": Feature((), "int64")})
    record(tmp_path, obs, [Kind.FIRST, Kind.MID, Kind.LAST], 7.0)
    stats = load_dataset(tmp_path).statistics
    assert stats["obs/image"]["mean"] == [7.0] * 3 and stats["obs/image"]["count"] == 3 * 4 * 5
    assert stats["obs/count"]["max"] == [7.0] and stats["obs/count"]["std"] == [0.0]

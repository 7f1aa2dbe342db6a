"""The recorder: what it logs, what it refuses, what it survives."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from robo_rl.errors import UserError
from robo_rl.log import recorder as module
from robo_rl.log.mcap_file import McapFile
from robo_rl.log.recorder import Recorder
from robo_rl.spec import Feature, Spec
from robo_rl.types import NO_SEED, Kind
from tests.log.streams import Tick, constant, logs, play, rows_of, same

OBS, ACT, NONE = Spec({"x": Feature((2,))}), Feature((2,)), Spec({})


def ticks(count: int) -> list[Tick]:
    kinds = [Kind.FIRST, *[Kind.MID] * (count - 2), Kind.LAST]
    return constant(OBS, ACT, NONE, kinds, np.random.default_rng(0))


def test_rows_and_episodes_of_a_run(tmp_path: Path) -> None:
    tape = play(tmp_path, n=3, episodes=7, home_ticks=2)
    found = logs(tmp_path)
    assert [log.path.name for log in found] == [f"log-row{row:03d}.mcap" for row in range(3)]
    assert sorted(episode.seed for log in found for episode in log.episodes) == list(range(7))
    for log in found:
        row = log.meta["row"]
        assert log.meta["n"] == 3 and log.meta["task"] == "reach" and log.dt == 0.1 and not log.truncated
        for episode in log.episodes:
            expected = rows_of(tape, row, episode.seed)
            assert episode.complete and episode.row == row and len(episode) == len(expected)
            for name in ("reward", "discount", "kind", "success", "reason", "applied"):
                assert same(getattr(episode, name), np.stack([getattr(step, name)[row] for step, _ in expected])), name
            assert same(episode.action, np.stack([action.value[row] for _, action in expected]))


def test_reset_ticks_are_logged_and_idle_rows_are_not(tmp_path: Path) -> None:
    tape = play(tmp_path, n=2, episodes=3, home_ticks=4)
    for log in logs(tmp_path):
        row = log.meta["row"]
        expected = [step.kind[row] for step, _ in tape.ticks if step.seed[row] != NO_SEED]
        assert expected.count(Kind.RESET) > 0 and len(log.timing["monotonic"]) == len(expected)


def test_fraction_takes_whole_episodes_by_seed(tmp_path: Path) -> None:
    play(tmp_path / "some", n=4, episodes=60, fraction=0.3)
    play(tmp_path / "again", n=1, episodes=60, fraction=0.3)
    seeds = [{e.seed for log in logs(tmp_path / part) for e in log.episodes} for part in ("some", "again")]
    assert seeds[0] == seeds[1] and 8 <= len(seeds[0]) <= 28
    assert all(episode.complete for log in logs(tmp_path / "some") for episode in log.episodes)


def test_no_episode_no_file(tmp_path: Path) -> None:
    play(tmp_path, episodes=2, fraction=0.0)
    assert not list(tmp_path.iterdir())


def test_chosen_rows(tmp_path: Path) -> None:
    play(tmp_path, n=3, episodes=6, rows=[2])
    assert [log.meta["row"] for log in logs(tmp_path)] == [2]


def test_faults_and_events_are_texts(tmp_path: Path) -> None:
    said = iter(["", "overload on elbow", "overload on elbow", "", *[""] * 5])
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1, messages=lambda: [next(said)]) as recorder:
        for step, action in ticks(5):
            recorder(step, action)
        recorder.event("kept by the operator")
    texts = [(text.topic, text.level, text.text) for text in logs(tmp_path)[0].texts]
    assert texts == [
        ("events", "INFO", f"episode started, seed {2**60 + 1}"),
        ("safety", "ERROR", "overload on elbow"),
        ("safety", "INFO", "cleared"),
        ("events", "INFO", "episode ended, success"),
        ("events", "INFO", "kept by the operator"),
    ]


def test_timing_of_the_rig(tmp_path: Path) -> None:
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1, timing=lambda: {"late": 0.25}) as recorder:
        for step, action in ticks(3):
            recorder(step, action)
    timing = logs(tmp_path)[0].timing
    assert timing["late"].tolist() == [0.25] * 3 and (np.diff(timing["monotonic"]) > 0).all()
    assert abs(timing["wall"][0] - logs(tmp_path)[0].episodes[0].time[0]) < 1.0


def test_a_copy_is_taken_at_once(tmp_path: Path) -> None:
    reused = ticks(3)
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1) as recorder:
        for step, action in reused:
            recorder(step, action)
            action.value[:] = 7.0
    assert not (logs(tmp_path)[0].episodes[0].action == 7.0).any()


def test_logs_are_never_overwritten(tmp_path: Path) -> None:
    play(tmp_path, episodes=1)
    before = (tmp_path / "log-row000.mcap").read_bytes()
    with pytest.raises(UserError, match=f"out={tmp_path}: already holds logs"):
        play(tmp_path, episodes=1)
    assert (tmp_path / "log-row000.mcap").read_bytes() == before
    play(tmp_path, episodes=1, meta={"name": "resumed"})
    assert len(logs(tmp_path)) == 2


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"out=.*cannot be written"):
        Recorder(tmp_path / "file" / "logs", OBS, ACT, NONE, {}, 0.1)


def test_a_full_disk_stops_recording_not_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1)
    whole, written = McapFile._write, []

    def write(self: McapFile, data: bytes) -> None:
        written.append(data)
        if len(written) > 3:
            whole(self, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        whole(self, data)

    monkeypatch.setattr(McapFile, "_write", write)
    recorder = Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1)
    for step, action in ticks(20):
        recorder(step, action)
    with pytest.raises(UserError, match="stopped early: No space left on device"):
        recorder.close()
    recorder.close()
    recorder(*ticks(2)[0])
    (log,) = logs(tmp_path)
    assert log.truncated and len(log.episodes[0]) == 2


def test_an_error_on_closing_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(McapFile, "finish", fail)
    with pytest.raises(KeyError), Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1) as recorder:
        recorder(*ticks(2)[0])
        raise KeyError("the loop's own")


def test_a_disk_that_hangs_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1)
    monkeypatch.setattr(module, "BACKLOG", 1)
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    released, add = threading.Event(), McapFile.add
    monkeypatch.setattr(McapFile, "add", lambda *args: (released.wait(), add(*args)))
    recorder = Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1)
    for step, action in ticks(20):
        recorder(step, action)
    released.set()
    with pytest.raises(UserError, match="the disk is too slow"):
        recorder.close()

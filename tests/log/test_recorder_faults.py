"""The recorder's process, and what disks, folders and signals do to a recording."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from robo_rl.errors import UserError
from robo_rl.log import drain
from robo_rl.log import recorder as module
from robo_rl.log.mcap_file import MAGIC
from robo_rl.log.process import RecorderProcess
from robo_rl.log.reader import read_log
from robo_rl.log.recorder import Recorder
from robo_rl.spec import Feature, Spec
from robo_rl.types import Kind
from tests.log.streams import Tick, constant, logs, play, same
from tests.waiting import until

OBS, ACT, NONE = Spec({"x": Feature((200,), "float64")}), Feature((2,)), Spec({})
ROOT = Path(__file__).parents[2]


def ticks(count: int) -> list[Tick]:
    kinds = [Kind.FIRST, *[Kind.MID] * (count - 2), Kind.LAST]
    return constant(OBS, ACT, NONE, kinds, np.random.default_rng(0))


def pid_of(recorder: Recorder) -> int:
    assert isinstance(recorder._writer, RecorderProcess)
    return recorder._writer.pid


def finished(path: Path) -> bool:
    """Whether a file has its end."""
    return path.exists() and path.read_bytes()[8:].endswith(MAGIC)


def drained(recorder: Recorder) -> Callable[[], bool]:
    return lambda: recorder._ring.waiting == 0


@contextmanager
def largest_file(size: int, process: int = 0) -> Iterator[None]:
    """A disk that is full after `size` bytes of a file, for this process or another one."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        if process == 0:
            resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def test_the_process_writes_what_the_thread_writes(tmp_path: Path) -> None:
    play(tmp_path / "thread", n=2, episodes=5)
    play(tmp_path / "process", n=2, episodes=5, realtime=2)
    pairs = zip(logs(tmp_path / "thread"), logs(tmp_path / "process"), strict=True)
    for one, two in pairs:
        assert not two.truncated and [text.text for text in one.texts] == [text.text for text in two.texts]
        for left, right in zip(one.episodes, two.episodes, strict=True):
            assert same(left.action, right.action) and all(same(left.obs[key], right.obs[key]) for key in left.obs)


RECORD = """
import os, signal, sys
from robo_rl.log.recorder import Recorder
from tests.log.test_recorder_faults import ACT, NONE, OBS, ticks

recorder = Recorder(sys.argv[1], OBS, ACT, NONE, {}, 0.1, realtime=1)
for step, action in ticks(50)[:-1]:
    recorder(step, action)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_control_loop_loses_nothing_of_the_ring(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", RECORD, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    path = tmp_path / "log-row000.mcap"
    until(lambda: finished(path))
    (episode,) = read_log(path).episodes
    assert same(episode.action, np.concatenate([action.value for _, action in ticks(50)[:-1]]))
    with path.open("rb") as file:
        assert len(list(make_reader(file).iter_messages(topics=["step"]))) == 49


def test_a_killed_recorder_does_not_disturb_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robo_rl.log.process.LOOK", 0.0)
    said: list[str] = []
    recorder = Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1, realtime=1, report=said.append)
    stream = ticks(40)
    for step, action in stream[:20]:
        recorder(step, action)
    until(drained(recorder))
    os.kill(pid_of(recorder), signal.SIGKILL)
    assert recorder._writer._child.wait(10.0)
    for step, action in stream[20:]:
        recorder(step, action)
    assert said == [f"{tmp_path}: recording stopped: the recorder's process got signal 9"]
    with pytest.raises(UserError, match="stopped early: the recorder's process got signal 9"):
        recorder.close()
    (log,) = logs(tmp_path)
    assert log.truncated and len(log.episodes[0]) == 20


@pytest.mark.parametrize("realtime", [None, 1])
@pytest.mark.parametrize("jump", [-3600.0, 86400.0])
def test_a_clock_that_jumps_leaves_the_log_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, realtime: int | None, jump: float
) -> None:
    read = time.time
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1, realtime=realtime) as recorder:
        for index, (step, action) in enumerate(ticks(40)):
            if index == 20:
                monkeypatch.setattr(time, "time", lambda: read() + jump)
                monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * (read() + jump)))
            recorder(step, action)
    (log,) = logs(tmp_path)
    assert not log.truncated and len(log.episodes[0]) == 40
    wall, monotonic = log.timing["wall"], log.timing["monotonic"]
    assert abs(wall[20] - wall[19] - jump) < 60 and (np.diff(monotonic) > 0).all()
    with log.path.open("rb") as file:
        times = [message.log_time for _, _, message in make_reader(file).iter_messages(topics=["step"])]
    assert (np.diff(times) > 0).all() and times[-1] - times[0] < 60e9


@pytest.mark.parametrize("realtime", [None, 1])
def test_a_full_disk_is_a_reported_fault_and_control_goes_on(tmp_path: Path, realtime: int | None) -> None:
    said: list[str] = []
    recorder = Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1, realtime=realtime, report=said.append)
    with largest_file(200_000, pid_of(recorder) if realtime else 0):
        for step, action in ticks(1000):
            recorder(step, action)
        until(lambda: recorder._ring.stopped)
        recorder(*ticks(2)[0])
        with pytest.raises(UserError, match="recording stopped early: File too large"):
            recorder.close()
    assert said == [f"{tmp_path}: recording stopped: File too large"]
    (log,) = logs(tmp_path)
    assert log.truncated and log.path.stat().st_size <= 200_000


def test_a_realtime_loop_counts_what_a_slow_disk_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKLOG", 1)  # four ticks
    stream = ticks(30)
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1, realtime=1) as recorder:
        recorder(*stream[0])
        until(drained(recorder))
        os.kill(pid_of(recorder), signal.SIGSTOP)
        for tick in stream[1:15]:
            recorder(*tick)
        assert recorder.lost == 10
        os.kill(pid_of(recorder), signal.SIGCONT)
        until(drained(recorder))
        recorder(*stream[15])
    (log,) = logs(tmp_path)
    assert "10 ticks not recorded: the disk is too slow" in [text.text for text in log.texts]
    assert len(log.timing["wall"]) == 6 and len(log.episodes[0]) == 5  # it breaks off where ticks are missing


@pytest.mark.parametrize("realtime", [None, 1])
def test_two_writers_on_one_folder(tmp_path: Path, realtime: int | None) -> None:
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1, realtime=realtime) as first:
        with pytest.raises(UserError, match=f"out={tmp_path}: another recorder writes there"):
            Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1)
        with Recorder(tmp_path, OBS, ACT, NONE, {"name": "other"}, 0.1) as other:
            for step, action in ticks(5):
                first(step, action)
                other(step, action)
    assert [(log.truncated, len(log.episodes[0])) for log in logs(tmp_path)] == [(False, 5)] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log-row000.mcap", "other-row000.mcap"]


def test_a_folder_that_is_read_only() -> None:
    with pytest.raises(UserError, match=r"out=/proc/self/logs: cannot be written: "):
        Recorder("/proc/self/logs", OBS, ACT, NONE, {}, 0.1)


@pytest.mark.parametrize("length", [10, 5000])
def test_long_texts_are_shortened(tmp_path: Path, length: int) -> None:
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1) as recorder:
        recorder(*ticks(2)[0])
        recorder.event("ä" * length)
    text = logs(tmp_path)[0].texts[-1].text
    assert set(text) == {"ä"} and len(text) == min(length, len(text)) and len(text) in (10, *range(450, 500))


def test_a_power_cut_leaves_what_was_synced_every_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut leaves at least what the last fdatasync saw."""
    sizes: list[int] = []
    sync = os.fdatasync

    def note(number: int) -> None:
        sizes.append(os.fstat(number).st_size)
        sync(number)

    monkeypatch.setattr(os, "fdatasync", note)
    monkeypatch.setattr(drain, "SYNC", 0.0)
    monkeypatch.setattr(drain, "FLUSH", 0.005)
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1) as recorder:
        for step, action in ticks(200):
            recorder(step, action)
            until(drained(recorder))
    whole, cut = (tmp_path / "log-row000.mcap").read_bytes(), tmp_path / "cut.mcap"
    found = []
    for size in sizes[:: len(sizes) // 10]:
        cut.write_bytes(whole[:size])
        found.append(len(read_log(cut).timing["wall"]))
    assert found[0] > 0 and found == sorted(set(found))  # each sync held more ticks than the one before


def test_the_header_says_what_wrote_it(tmp_path: Path) -> None:
    play(tmp_path, episodes=1)
    meta = logs(tmp_path)[0].meta
    assert {"python", "robo-rl", "numpy", "mcap", "protobuf", "mujoco", "torch"} <= meta["versions"].keys()
    assert len(meta["fingerprint"]) == 16 and meta["format"] == 1

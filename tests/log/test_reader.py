"""Reading what is whole, cut, damaged or not a log at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robo_rl.errors import CorruptFile, UserError
from robo_rl.log import recorder as module
from robo_rl.log.header import parse
from robo_rl.log.reader import find_logs, read_log
from tests.log.streams import play, same


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of several small chunks."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", 4000)
        play(folder, episodes=5)
    return folder / "log-row000.mcap"


def test_cut_anywhere_reads_up_to_there(whole: Path, tmp_path: Path) -> None:
    data, full, seen = whole.read_bytes(), read_log(whole).episodes, []
    cut = tmp_path / "cut.mcap"
    for size in np.linspace(0, len(data) - 1, 150).astype(int):
        cut.write_bytes(data[:size])
        try:
            log = read_log(cut)
        except CorruptFile as error:
            assert not seen and "cut before its specs" in str(error)
            continue
        assert log.truncated
        seen.append(sum(len(episode) for episode in log.episodes))
        for episode, original in zip(log.episodes, full, strict=False):
            assert same(episode.action, original.action[: len(episode)])
        assert all(episode.complete for episode in log.episodes[:-1])
    assert seen == sorted(seen) and len(set(seen)) > 5 and seen[-1] == sum(len(episode) for episode in full)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_one_line_or_harmless(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.mcap"
    path.write_bytes(content)
    try:
        log = read_log(path)
    except CorruptFile as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        originals = {episode.seed: episode for episode in read_log(whole).episodes}
        assert all(same(e.action, originals[e.seed].action[: len(e)]) for e in log.episodes)


PICKLE = b"\x80\x04cposix\nsystem\n(S'touch hacked'\ntR."


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip", PICKLE, b"\x00" * 100])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.mcap"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match=r"other\.mcap: damaged: not an MCAP file"):
        read_log(path)
    with pytest.raises(CorruptFile, match="cannot be read"):
        read_log(tmp_path / "missing.mcap")


def test_attachments_are_data_only() -> None:
    with pytest.raises(ValueError, match="format 99"):
        parse({"meta.json": json.dumps({"format": 99}).encode(), "spec.json": b"{}"})
    for evil in (b"__import__('os').system('touch hacked')", b"\x80\x04.", b"[" * 100_000):
        with pytest.raises((ValueError, RecursionError)):
            parse({"meta.json": evil, "spec.json": b"{}"})


def test_find_logs(tmp_path: Path, whole: Path) -> None:
    for name in ("b/log/x.mcap", "a/log/y.mcap", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(whole.read_bytes())
    y, x = tmp_path / "a/log/y.mcap", tmp_path / "b/log/x.mcap"
    assert find_logs(tmp_path) == find_logs(str(tmp_path / "**/*.mcap")) == [y, x]
    assert find_logs([x, tmp_path / "a", str(tmp_path / "?")]) == [x, y]
    for nothing in (tmp_path / "c", str(tmp_path / "*.bag"), [x, tmp_path / "nowhere"], []):
        with pytest.raises(UserError, match="log="):
            find_logs(nothing)


RECORD_FOREVER = """
import sys, time
from pathlib import Path
from robo_rl.env import RigEnv
from robo_rl.log.recorder import Recorder
from robo_rl.loop import run
from robo_rl.seeds import Seeds
from robo_rl.spec import Spec
from tests.fakes import GoalPolicy, PointRig, ReachTask

def pace(step, action):
    time.sleep(0.004)
    print(f"{time.monotonic()!r}", flush=True)

env = RigEnv(PointRig(1), ReachTask(1))
recorder = Recorder(sys.argv[1], env.obs_spec, env.act_spec, Spec({}), {}, env.dt)
run(env, GoalPolicy(1), lambda step: False, Seeds(0), [recorder, pace])
"""


@pytest.mark.parametrize("wait", [0.45, 0.7, 0.83])
def test_kill_loses_less_than_a_third_of_a_second(tmp_path: Path, wait: float) -> None:
    command = [sys.executable, "-c", RECORD_FOREVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while not (tmp_path / "log-row000.mcap").exists():
            time.sleep(0.01)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        printed = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    log = read_log(tmp_path / "log-row000.mcap")
    assert log.truncated and log.episodes
    assert float(printed[-1]) - log.timing["monotonic"][-1] <= 0.3

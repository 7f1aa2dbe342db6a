"""Copies of cut logs that the stock reader reads, and random access to them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from robo_rl.errors import CorruptFile, UserError
from robo_rl.log import recorder as module
from robo_rl.log.access import LogIndex
from robo_rl.log.reader import LogStream, read_log
from robo_rl.log.recorder import Recorder
from robo_rl.log.recover import recover
from tests.log.streams import play, same
from tests.log.test_recorder_faults import ACT, NONE, OBS, ticks


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of several small chunks."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", 4000)
        play(folder, episodes=6)
    return folder / "log-row000.mcap"


def stock(path: Path) -> list[tuple[str, int, bytes]]:
    """Every message in the file's order, as the stock reader gives it from the index."""
    with path.open("rb") as file:
        found = make_reader(file, validate_crcs=True).iter_messages(log_time_order=False)
        return [(channel.topic, message.log_time, message.data) for _, channel, message in found]


def test_a_file_cut_at_any_byte(whole: Path, tmp_path: Path) -> None:
    data, everything, seen = whole.read_bytes(), stock(whole), []
    cut = tmp_path / "cut.mcap"
    for index, size in enumerate(np.linspace(0, len(data), 80).astype(int)):
        cut.write_bytes(data[:size])
        copy = tmp_path / f"copy{index}.mcap"
        try:
            found = recover(cut, copy)
        except CorruptFile as error:
            assert not seen and "\n" not in str(error) and not copy.exists()
            continue
        messages = stock(copy)
        assert messages == everything[: len(messages)] and found.messages == len(messages)
        assert found.truncated == (size < len(data)) and found.damaged == 0
        assert found.ticks == sum(topic == "step" for topic, _, _ in messages)
        before, after = read_log(cut).episodes, read_log(copy)
        ended = [episode for episode in before if episode.complete]
        assert (found.episodes, found.successes) == (len(ended), sum(episode.succeeded for episode in ended))
        assert not after.truncated and [len(e) for e in after.episodes] == [len(e) for e in before]
        seen.append(len(messages))
    assert seen == sorted(seen) and len(set(seen)) > 5 and seen[-1] == len(everything)


def test_the_copy_of_a_whole_file_holds_the_same(whole: Path, tmp_path: Path) -> None:
    recover(whole, tmp_path / "copy.mcap")
    with whole.open("rb") as one, (tmp_path / "copy.mcap").open("rb") as two:
        left, right = make_reader(one), make_reader(two)
        assert left.get_summary().statistics == right.get_summary().statistics
        assert [a.data for a in left.iter_attachments()] == [a.data for a in right.iter_attachments()]


def test_a_damaged_chunk_is_left_out(whole: Path, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    with whole.open("rb") as file:
        chunk = make_reader(file).get_summary().chunk_indexes[1]
    data[chunk.chunk_start_offset + 80] ^= 0xFF
    (tmp_path / "damaged.mcap").write_bytes(data)
    found = recover(tmp_path / "damaged.mcap", tmp_path / "copy.mcap")
    assert found.damaged == 1 and 0 < len(stock(tmp_path / "copy.mcap")) < len(stock(whole))
    read_log(tmp_path / "copy.mcap")


def test_what_cannot_be_recovered(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mcap").write_text("not a log at all")
    with pytest.raises(CorruptFile, match="not an MCAP file"):
        recover(tmp_path / "text.mcap", tmp_path / "copy.mcap")
    with pytest.raises(UserError, match="exists"):
        recover(whole, whole)
    with pytest.raises(UserError, match=r"out=/proc/self/copy\.mcap: cannot be written"):
        recover(whole, Path("/proc/self/copy.mcap"))
    assert [path.name for path in tmp_path.iterdir()] == ["text.mcap"]


def test_access_by_episode_and_time(whole: Path) -> None:
    everything, index = read_log(whole), LogIndex(whole)
    assert [b.seed for b in index.beginnings()] == [e.seed for e in everything.episodes]
    for number, episode in enumerate(everything.episodes):
        assert same(index.episode(number).action, episode.action) and index.episode(number).complete
    third = everything.episodes[2]
    (part,) = index.between(third.time[3], third.time[7])
    assert part.seed == third.seed and same(part.obs["position"], third.obs["position"][3:8])
    rounding = 1e-6  # a float of Unix time is good for 0.2 us
    assert index.between(0.0, 1.0) == [] and index.times[1] >= everything.episodes[-1].time[-1] - rounding
    with pytest.raises(IndexError):
        index.episode(6)


def test_access_needs_an_index(whole: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[:-500])
    with pytest.raises(UserError, match="has no index; make one with: robo-rl recover"):
        LogIndex(cut)


def test_episodes_stream_in_constant_memory(tmp_path: Path) -> None:
    peaks = []
    for name, episodes in (("short", 2), ("long", 40)):
        with Recorder(tmp_path / name, OBS, ACT, NONE, {}, 0.1) as recorder:
            for _ in range(episodes):
                for step, action in ticks(100):
                    recorder(step, action)
        tracemalloc.start()
        with LogStream(tmp_path / name / "log-row000.mcap") as log:
            assert sum(1 for _ in log) == episodes
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]

"""Pictures in logs: each capture once, whole or counted, and the same on every tick that saw it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

from robo_rl.cameras import Camera, spec_of
from robo_rl.data.dataset import load_dataset
from robo_rl.env import LogEnv
from robo_rl.errors import CorruptFile, UnknownName
from robo_rl.log import recorder as module
from robo_rl.log.access import LogIndex
from robo_rl.log.images import Pictures, decode, encode, size_of
from robo_rl.log.process import RecorderProcess
from robo_rl.log.reader import read_log
from robo_rl.log.recorder import Recorder
from robo_rl.log.recover import recover
from robo_rl.seeds import Seeds
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Kind, Step
from tests.log.streams import Tick, constant, logs, same
from tests.log.test_recorder_faults import drained
from tests.waiting import until

FRONT, FAR = "camera/front", "depth/front"
OBS = spec_of([Camera("front", 24, 16, depth=True), Camera("wrist", 10, 12)]) | {"x": Feature((2,))}
ACT, NONE = Feature((2,)), Spec({})
EVERY = 3  # ticks between two captures


def ticks(count: int, rows: int = 1, seed: int = 7) -> Iterator[Tick]:
    """An episode whose pictures change every few ticks, in every row another one."""
    rng = np.random.default_rng(seed)
    kinds = [Kind.FIRST, *[Kind.MID] * (count - 2), Kind.LAST]
    obs: dict[str, np.ndarray] = {}
    for tick, kind in enumerate(kinds):
        if tick % EVERY == 0:
            obs = {key: _draw(feature, rows, rng) for key, feature in OBS.items()}
        stamps = {key: np.full(rows, tick // EVERY * EVERY * 0.1) for key in OBS if key != "x"}
        (plain, _), *_ = constant(Spec({}), ACT, NONE, [kind], rng)
        others = [name for name in Step.__slots__ if name not in ("obs", "stamp")]
        wide = {name: np.repeat(getattr(plain, name), rows, 0) for name in others}
        wide |= {"seed": np.full(rows, seed) + np.arange(rows)}
        yield Step(obs={**obs}, stamp=stamps, **wide), Action(np.zeros((rows, 2), np.float32), {})


def _draw(feature: Feature, rows: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 255, (rows, *feature.shape)).astype(feature.dtype)


def record(folder: Path, stream: list[Tick], **options: object) -> Recorder:
    with Recorder(folder, OBS, ACT, NONE, {"task": "look"}, 0.1, **options) as recorder:  # type: ignore[arg-type]
        for step, action in stream:
            recorder(step, action)
    return recorder


@pytest.mark.parametrize("realtime", [None, 2])
def test_every_tick_sees_again_what_it_saw(tmp_path: Path, realtime: int | None) -> None:
    stream = [*ticks(20, 2), *ticks(7, 2, 11)]
    recorder = record(tmp_path, stream, realtime=realtime)
    assert set(recorder.lost_pictures.values()) == {0} and recorder.lost_pictures.keys() == {*OBS} - {"x"}
    for row, log in enumerate(logs(tmp_path)):
        assert [episode.seed for episode in log.episodes] == [7 + row, 11 + row]
        for episode, part in zip(log.episodes, (stream[:20], stream[20:]), strict=True):
            for key in OBS:
                assert same(np.asarray(episode.obs[key]), np.stack([step.obs[key][row] for step, _ in part])), key
            assert same(episode.stamp[FRONT], np.array([step.stamp[FRONT][row] for step, _ in part]))
            pictures = episode.obs[FRONT]
            assert isinstance(pictures, Pictures) and pictures.missing == 0
            assert pictures.captures.tolist() == list(range(0, len(part), EVERY))
            assert pictures[4].shape == (16, 24, 3) and pictures[2:5].shape == (3, 16, 24, 3)


def test_other_tools_find_pictures(tmp_path: Path) -> None:
    stream = list(ticks(20))
    record(tmp_path, stream)
    recover(tmp_path / "log-row000.mcap", tmp_path / "copy.mcap")
    for path in sorted(tmp_path.glob("*.mcap")):
        with path.open("rb") as file:
            reader = make_reader(file, decoder_factories=[DecoderFactory()])
            found = list(reader.iter_decoded_messages(topics=[f"obs/{FRONT}"]))
        assert len(found) == 7  # one a capture
        for index, (schema, _, _, message) in enumerate(found):
            assert schema is not None
            assert schema.name == "foxglove.CompressedImage"
            assert (message.format, message.frame_id) == ("png", "front")
            assert message.timestamp.ToNanoseconds() == pytest.approx(index * EVERY * 1e8)
            seen = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
            assert np.array_equal(seen[..., ::-1], stream[index * EVERY][0].obs[FRONT][0])


def test_jpeg_is_smaller_and_leaves_distances_alone(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 16 * 24 * 3).reshape(16, 24, 3).astype(np.uint8)
    stream = list(ticks(9))
    for step, _ in stream:
        step.obs[FRONT][:] = smooth
    record(tmp_path, stream, images="jpeg")
    (log,) = logs(tmp_path)
    shown = np.asarray(log.episodes[0].obs[FRONT])
    assert 0 < np.abs(shown.astype(int) - smooth).max() < 30
    assert same(np.asarray(log.episodes[0].obs[FAR]), np.stack([step.obs[FAR][0] for step, _ in stream]))
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (9, 9), 3)
    assert len(encode(blurred, "jpeg")) < len(encode(blurred, "png")) / 3
    with pytest.raises(UnknownName, match="images=bmp: unknown; valid choices: jpeg, png"):
        record(tmp_path / "other", [], images="bmp")


def test_pictures_give_way_to_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PICTURES", 1)  # four of each camera
    stream = list(ticks(50))
    with Recorder(tmp_path, OBS, ACT, NONE, {}, 0.1, realtime=1) as recorder:
        recorder(*stream[0])
        until(drained(recorder))
        until(lambda: recorder._pictures.waiting == 0)
        assert isinstance(recorder._writer, RecorderProcess)
        os.kill(recorder._writer.pid, signal.SIGSTOP)
        for tick in stream[1:40]:
            recorder(*tick)
        assert recorder.lost == 0 and recorder.lost_pictures == dict.fromkeys((FRONT, FAR, "camera/wrist"), 9)
        os.kill(recorder._writer.pid, signal.SIGCONT)
        until(lambda: recorder._pictures.waiting == 0)
        for tick in stream[40:]:
            recorder(*tick)
    (log,) = logs(tmp_path)
    (episode,) = log.episodes
    assert len(episode) == 50 and same(episode.obs["x"], np.stack([step.obs["x"][0] for step, _ in stream]))
    assert f"9 pictures of {FRONT} not recorded: they cannot be written fast enough" in [t.text for t in log.texts]
    pictures, last = episode.obs[FRONT], 4 * EVERY  # the last one that found room
    assert isinstance(pictures, Pictures) and pictures.missing == 9 * EVERY
    assert same(pictures[20], stream[last][0].obs[FRONT][0]) and same(pictures[49], stream[49][0].obs[FRONT][0])


def test_no_stamp_means_every_tick(tmp_path: Path) -> None:
    stream = [(Step(**{n: getattr(s, n) for n in Step.__slots__ if n != "stamp"}), a) for s, a in ticks(6)]
    record(tmp_path, stream)
    pictures = logs(tmp_path)[0].episodes[0].obs[FRONT]
    assert isinstance(pictures, Pictures) and pictures.captures.tolist() == list(range(6))


def test_a_cut_log_and_parts_of_a_log(tmp_path: Path) -> None:
    stream = [*ticks(40), *ticks(10, 1, 8)]
    record(tmp_path, stream)
    path, cut = tmp_path / "log-row000.mcap", tmp_path / "cut.mcap"
    whole, index = read_log(path).episodes, LogIndex(path)
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert read_log(cut).truncated
    assert same(np.asarray(index.episode(1).obs[FRONT]), np.asarray(whole[1].obs[FRONT]))
    start, stop = whole[0].time[[13, 18]]
    (part,) = index.between(float(start), float(stop))
    assert same(np.asarray(part.obs[FRONT]), whole[0].obs[FRONT][13:19])


def test_a_log_with_pictures_is_an_environment_and_a_dataset(tmp_path: Path) -> None:
    stream = list(ticks(10))
    record(tmp_path, stream)
    (log,) = logs(tmp_path)
    env = LogEnv(log.episodes[0], log.obs_spec, log.act_spec, log.dt)
    step = env.reset(np.ones(1, bool), Seeds(0, 1))
    for expected, _ in stream:
        assert all(same(step.obs[key], expected.obs[key]) for key in OBS)
        env.send(np.zeros((1, 2), np.float32))
        step = env.recv()
    found = load_dataset(tmp_path).statistics[f"obs/{FRONT}"]
    every = np.stack([step.obs[FRONT][0] for step, _ in stream]).reshape(-1, 3)
    assert found["mean"] == pytest.approx(every.mean(0).tolist()) and found["max"] == every.max(0).tolist()


def test_damaged_pictures_are_one_line(tmp_path: Path) -> None:
    feature = Feature((16, 24, 3), "uint8")
    good = encode(np.zeros((16, 24, 3), np.uint8), "png")
    huge = good[:16] + (1 << 30).to_bytes(4, "big") * 2 + good[24:]
    assert size_of(huge) == (1 << 30, 1 << 30)  # and decoding it would ask for as much
    jpeg = encode(np.zeros((16, 24, 3), np.uint8), "jpeg")
    assert size_of(jpeg) == (16, 24) and decode(jpeg, feature).shape == (16, 24, 3)
    for data in (huge, good[:40], b"", b"GIF89a", jpeg[:20], good[:30] + bytes(len(good) - 30)):
        with pytest.raises(ValueError, match="picture"):
            decode(data, feature)
        with pytest.raises(CorruptFile, match=r"^a\.mcap: .*picture") as error:
            Pictures(feature, np.zeros(1, np.int64), "a.mcap", {0: data})[0]
        assert "\n" not in str(error.value)


def test_recorded_rows_of_many(tmp_path: Path) -> None:
    stream = list(ticks(12, 3))
    record(tmp_path, stream, rows=[2])
    (log,) = logs(tmp_path)
    assert same(np.asarray(log.episodes[0].obs[FRONT]), np.stack([step.obs[FRONT][2] for step, _ in stream]))

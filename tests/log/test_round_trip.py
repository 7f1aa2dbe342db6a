"""What is logged comes back bit by bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

from robo_rl.log.reader import read_log
from robo_rl.log.recorder import Recorder
from robo_rl.spec import Feature, Spec
from robo_rl.types import Kind
from tests.log.streams import Tick, constant, play, same

DTYPES = [
    "float16",
    "float32",
    "float64",
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
]
FEATURE = st.builds(Feature, st.lists(st.integers(0, 4), max_size=3).map(tuple), st.sampled_from(DTYPES))
KINDS = [Kind.FIRST, Kind.MID, Kind.LAST]


def record(folder: str | Path, obs: Spec, act: Feature, extra: Spec, ticks: list[Tick]) -> Path:
    with Recorder(folder, obs, act, extra, {}, 0.02) as recorder:
        for step, action in ticks:
            recorder(step, action)
    return Path(folder) / "log-row000.mcap"


@settings(max_examples=40, deadline=None)
@given(st.lists(FEATURE, min_size=1, max_size=3), FEATURE, FEATURE, st.integers(0, 2**32))
def test_every_dtype_and_shape(features: list[Feature], act: Feature, extra: Feature, seed: int) -> None:
    obs = Spec({f"key/{i}": feature for i, feature in enumerate(features)})
    extras = Spec({"base_action": act, "chunk_index": extra})
    ticks = constant(obs, act, extras, KINDS, np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as folder:
        log = read_log(record(folder, obs, act, extras, ticks))
    assert (log.obs_spec, log.act_spec, log.extra_spec, log.truncated) == (obs, act, extras, False)
    (episode,) = log.episodes
    for t, (step, action) in enumerate(ticks):
        at = slice(t, t + 1)
        assert all(same(episode.obs[key][at], step.obs[key]) for key in obs)
        assert all(same(episode.extra[key][at], action.extra[key]) for key in extras)
        assert same(episode.action[at], action.value) and same(episode.applied[at], step.applied)
        for name in ("reward", "discount", "kind", "success", "reason"):
            assert same(getattr(episode, name)[at], getattr(step, name)), name
        assert all(same(episode.stamp[key][at], stamp) for key, stamp in step.stamp.items())
    assert episode.stamp.keys() == ticks[0][0].stamp.keys() and episode.seed == 2**60 + 1


def test_what_is_not_finite_survives(tmp_path: Path) -> None:
    obs, act = Spec({"x": Feature((3,))}), Feature((1,))
    ticks = constant(obs, act, Spec({}), KINDS, np.random.default_rng(0))
    ticks[1][0].obs["x"][:] = [[np.nan, np.inf, -0.0]]  # type: ignore[index]
    (episode,) = read_log(record(tmp_path, obs, act, Spec({}), ticks)).episodes
    assert np.array_equal(episode.obs["x"][1], [np.nan, np.inf, 0.0], equal_nan=True)
    assert np.signbit(episode.obs["x"][1, 2])


def test_a_dtype_that_cannot_be_logged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="complex64"):
        Recorder(tmp_path, Spec({"x": Feature((1,), "complex64")}), Feature((1,)), Spec({}), {}, 0.1)


@pytest.mark.parametrize("key", ["commanded", "applied", "base"])
def test_an_extra_may_not_take_a_channel(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="taken"):
        Recorder(tmp_path, Spec({}), Feature((1,)), Spec({key: Feature((1,))}), {}, 0.1)


def test_stock_readers_read_it(tmp_path: Path) -> None:
    tape = play(tmp_path, episodes=2)
    with (tmp_path / "log-row000.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        summary = reader.get_summary()
        messages = [(c.topic, m.log_time, d) for _, c, m, d in reader.iter_decoded_messages()]
        names = {attachment.name for attachment in reader.iter_attachments()}
    assert summary is not None and summary.statistics is not None
    assert summary.statistics.message_count == len(messages) and names == {"meta.json", "spec.json"}
    times = [time for _, time, _ in messages]
    assert times == sorted(times)
    signals = [message for topic, _, message in messages if topic == "obs/position"]
    assert list(signals[0].names) == ["x", "y"]
    expected = [step.obs["position"][0].astype(float).tolist() for step, _ in tape.ticks if step.seed[0] >= 0]
    assert [list(signal.values) for signal in signals] == expected


def test_joint_states_are_foxgloves(tmp_path: Path) -> None:
    joints = {f"joint_{q}": Feature((2,), unit="rad", names=("pan", "lift")) for q in ("position", "velocity")}
    ticks = constant(Spec(joints), Feature((2,)), Spec({}), KINDS, np.random.default_rng(1))
    path = record(tmp_path, Spec(joints), Feature((2,)), Spec({}), ticks)
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        found = [(s, m, d) for s, _, m, d in reader.iter_decoded_messages(topics=["joint_states"])]
    assert len(found) == 3
    for (schema, raw, message), (step, _) in zip(found, ticks, strict=True):
        assert schema is not None and schema.name == "foxglove.JointStates"
        assert message.timestamp.ToNanoseconds() == raw.log_time
        assert [joint.name for joint in message.joints] == ["pan", "lift"]
        assert [joint.position for joint in message.joints] == step.obs["joint_position"][0].tolist()
        assert [joint.velocity for joint in message.joints] == step.obs["joint_velocity"][0].tolist()

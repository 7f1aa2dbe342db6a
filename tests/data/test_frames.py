"""Pictures of a replay: every tick gets back what it showed, and a picture that was shown twice is kept once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robo_rl.data.frames import LONGEST, Frames
from robo_rl.data.replay import Replay
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Kind, Step

SHAPE = (2, 2, 3)


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, SHAPE, np.uint8)


def play(frames: Frames, shown: np.ndarray, begin: int = 0) -> None:
    """Show the pictures with the numbers `shown` (T, N); a number is its capture time, too."""
    for t, numbers in enumerate(shown, start=begin):
        pictures = np.stack([picture(number) for number in numbers])
        frames.add(t % frames.length, pictures, numbers.astype(np.float64), np.zeros(len(numbers), bool))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 3), length=st.integers(2, 40), ticks=st.integers(1, 120),
    slow=st.floats(0.0, 0.95),
)  # fmt: skip
def test_every_tick_gets_its_picture_back(seed: int, n: int, length: int, ticks: int, slow: float) -> None:
    new = np.random.default_rng(seed).uniform(size=(ticks, n)) >= slow
    shown = 1000 * np.arange(n) + np.cumsum(new, axis=0)
    frames = Frames(SHAPE, n, length)
    half = ticks // 2
    play(frames, shown[:half])
    again = Frames(SHAPE, n, length)
    again.load(frames.state())
    play(again, shown[half:], half)
    for t in range(max(0, ticks - length), ticks):
        got = again.take((t % length) * n + np.arange(n))
        np.testing.assert_array_equal(got, np.stack([picture(number) for number in shown[t]]))


def test_a_slow_camera_costs_what_it_captures() -> None:
    length, n = 400, 2
    sizes = []
    for every in (1, 4):
        frames = Frames(SHAPE, n, length)
        play(frames, 1000 * np.arange(n) + np.arange(3 * length)[:, None] // every)
        sizes.append(frames.kept)
    assert sizes[0] == n * (length + LONGEST) and sizes[1] == sizes[0] // 4


def test_an_episode_begins_with_its_own_picture() -> None:
    frames = Frames(SHAPE, 1, 8)
    for slot, (number, first) in enumerate([(1, True), (1, False), (2, True)]):
        frames.add(slot, picture(number)[None], np.zeros(1), np.array([first]))
    assert frames.kept == 2
    np.testing.assert_array_equal(frames.take(np.arange(3)), [picture(1), picture(1), picture(2)])


@pytest.mark.parametrize("steps", [1, 3])
def test_a_transition_has_the_pictures_of_both_its_ends(steps: int) -> None:
    cameras = ("camera/a", "camera/b")
    spec = Spec({"x": Feature((1,))} | {key: Feature((2, 2, 3), "uint8", 0, 255) for key in cameras})
    replay = Replay(spec, Spec({}), 1, 1, 20, cameras=cameras)
    for t in range(6):
        obs = {"x": np.full((1, 1), t, np.float32), "camera/a": picture(t)[None], "camera/b": picture(100 + t)[None]}
        kind = np.array([Kind.FIRST if t == 0 else Kind.LAST if t == 5 else Kind.MID], np.uint8)
        zero, stamp = np.zeros(1, np.float32), {key: np.full(1, float(t)) for key in cameras}
        step = Step(obs, zero, zero + 1, kind, zero[:, None], zero.astype(np.int8), zero.astype(np.uint8),
                    np.zeros(1, np.int64), stamp)  # fmt: skip
        replay.add(step, Action(np.zeros((1, 1), np.float32), {}))
    batch = replay.gather(replay.starts(), steps=steps)
    assert batch.pictures is not None and batch.next_pictures is not None and len(batch.obs) == 5
    for t in range(5):
        there = min(t + steps, 5)
        np.testing.assert_array_equal(batch.pictures[t], [picture(t), picture(100 + t)])
        np.testing.assert_array_equal(batch.next_pictures[t], [picture(there), picture(100 + there)])
    assert replay.gather(replay.starts(), pictures=False).pictures is None

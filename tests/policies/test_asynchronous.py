"""Chunks computed in the background: the schedule, the seam, and its repetition from a log."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from policies.asynchronous import COUNTS, Ahead, Background, Scheduled, Thread, schedule_of
from policies.compose import Chunked
from robo_rl.policy import Planner
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Obs

ACT = Feature((2,), "float32", -10.0, 10.0, "rad", ("a", "b"))
H, EXECUTE = 10, 4


class Ramp(Planner):
    """Chunks that follow the observation: value `tick seen` + 0.1 k, plus a little by the draw."""

    horizon = H

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        start = obs["seen"][rows, :1] + 0.01 * (rng % 7)[:, None]
        chunk = start[:, None, :] + 0.1 * np.arange(H)[None, :, None]
        return np.repeat(chunk, 2, axis=2)[:, None].astype(np.float32)


class Slow(Ramp):
    """Takes a time of its own."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        time.sleep(self._rng.uniform(0.0, 0.02))
        return super().plan(obs, rows, samples, rng)


class Late(Background):
    """Every chunk arrives a fixed number of ticks late."""

    def __init__(self, planner: Planner, delay: int) -> None:
        self._planner, self._delay, self._due = planner, delay, -1
        self.asked: list[int] = []

    def submit(self, obs: Obs, tick: int, draw: int) -> None:
        self.asked.append(tick)
        self._due, self._chunk = (
            tick + self._delay,
            self._planner.plan(obs, np.zeros(1, int), 1, np.array([draw]))[0, 0],
        )

    def poll(self, tick: int) -> np.ndarray | None:
        if self._due < 0 or tick < self._due:
            return None
        self._due = -1
        return self._chunk

    def drop(self) -> None:
        self._due = -1


def observed(tick: int) -> dict[str, np.ndarray]:
    return {"seen": np.array([[0.1 * tick]], np.float32), "applied": np.full((1, 2), 0.5, np.float32)}


def play(policy: Ahead | Chunked, ticks: int, seed: int = 3, pause: float = 0.0) -> list[Action]:
    policy.reset(np.ones(1, bool), np.array([seed]))
    actions = []
    for tick in range(ticks):
        actions.append(policy.act(observed(tick)))
        time.sleep(pause)
    return actions


def numbers(actions: list[Action], key: str) -> list[int]:
    return [int(action.extra[key][0, 0]) for action in actions]


def test_until_the_first_chunk_the_robot_holds() -> None:
    actions = play(Ahead(Ramp(), EXECUTE, ACT, Late(Ramp(), 3)), 5)
    assert all(np.array_equal(action.value, [[0.5, 0.5]]) for action in actions[:3])
    assert numbers(actions, "chunk_from") == [-1, -1, -1, 0, 0] and numbers(actions, "chunk_at") == [-1, -1, -1, 3, 3]


def test_a_late_chunk_begins_where_it_would_be_by_now() -> None:
    actions = play(Ahead(Ramp(), EXECUTE, ACT, Late(Ramp(), 3)), 7)
    wanted = play(Chunked(Ramp(), H, ACT), 7)
    for tick in (3, 4, 5, 6):
        assert np.array_equal(actions[tick].value, wanted[tick].value)


def test_the_next_chunk_is_asked_for_before_the_last_one_is_used_up() -> None:
    background = Late(Ramp(), 2)
    actions = play(Ahead(Ramp(), EXECUTE, ACT, background), 14)
    assert background.asked == [0, 4, 8, 12]
    assert numbers(actions, "chunk_at") == [-1, -1, 2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10]


def test_the_seam_is_measured_and_blended() -> None:
    actions = play(Ahead(Ramp(), EXECUTE, ACT, Late(Ramp(), 2), blend=3), 9)
    seams = numbers(actions, "seam")
    assert [tick for tick, jump in enumerate(seams) if jump] == [6]
    raw = Ahead(Ramp(), EXECUTE, ACT, Late(Ramp(), 2), blend=0)
    hard = play(raw, 9)
    jump = float(hard[6].value[0, 0] - actions[6].value[0, 0])
    assert seams[6] == pytest.approx(1e6 * abs(jump) * 4 / 3, rel=1e-3)  # the blend lets a quarter of it through
    assert np.allclose(hard[8].value[0, 0] - actions[8].value[0, 0], jump / 3, atol=1e-6)


def test_what_is_late_altogether_is_dropped_and_asked_for_again() -> None:
    background = Late(Ramp(), H + 1)
    actions = play(Ahead(Ramp(), EXECUTE, ACT, background), 2 * H + 4)
    assert background.asked[:2] == [0, H + 1] and set(numbers(actions, "chunk_from")) == {-1}
    assert all(np.array_equal(action.value, [[0.5, 0.5]]) for action in actions)


def test_when_a_chunk_runs_out_its_last_action_stands() -> None:
    actions = play(Ahead(Ramp(), EXECUTE, ACT, Late(Ramp(), H - 1)), 2 * H)
    at = numbers(actions, "chunk_at")
    assert at[H - 1] == H - 1 and at[2 * H - 3] == H - 1
    assert len({action.value.tobytes() for action in actions[H - 1 : 2 * H - 3]}) == 1


def test_extras_fit_the_spec_and_a_residual_reads_what_chunked_gives() -> None:
    policy, waiting = Ahead(Ramp(), EXECUTE, ACT, Late(Ramp(), 0)), Chunked(Ramp(), EXECUTE, ACT)
    for action in play(policy, 6):
        policy.extra_spec.validate(dict(action.extra), 1)
    assert policy.extra_spec.vector_keys == waiting.extra_spec.vector_keys
    for one, other in zip(play(policy, EXECUTE), play(waiting, EXECUTE), strict=True):
        assert np.array_equal(one.value, other.value)
        assert np.array_equal(one.extra["chunk_phase"], other.extra["chunk_phase"])
        assert one.extra["chunk_rest"].shape == other.extra["chunk_rest"].shape


def test_a_thread_never_keeps_a_tick_waiting() -> None:
    """The planner is held for as long as the test likes; ticks go on, and its chunk is adopted afterwards."""
    gate = threading.Event()

    class Held(Ramp):
        def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
            gate.wait(20)
            return super().plan(obs, rows, samples, rng)

    policy = Ahead(Held(), EXECUTE, ACT)
    gate.set()
    play(policy, 1)  # the first chunk of all is waited for
    gate.clear()
    policy.reset(np.ones(1, bool), np.array([4]))
    held = play(policy, 5)
    assert set(numbers(held, "chunk_from")) == {-1}
    gate.set()
    end = time.monotonic() + 20
    while numbers([policy.act(observed(5))], "chunk_from") == [-1]:
        assert time.monotonic() < end
        policy._tick -= 1  # the chunk must not grow older than it is long while a busy machine computes it
        time.sleep(0.002)


def test_a_chunk_from_before_the_episode_never_enters_it() -> None:
    gate = threading.Event()

    class Held(Ramp):
        def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
            gate.wait(20)
            return np.full((1, 1, H, 2), 9.0, np.float32)

    background = Thread(Held())
    gate.set()
    background.submit(observed(0), 0, 1)
    gate.clear()
    background.submit(observed(0), 0, 1)
    background.drop()
    gate.set()
    for _ in range(50):
        assert background.poll(0) is None
        time.sleep(0.002)


def test_an_error_of_the_planner_is_raised_in_the_loop() -> None:
    class Broken(Ramp):
        def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        play(Ahead(Broken(), EXECUTE, ACT), 2000, pause=0.005)


def test_a_log_repeats_the_schedule_bit_for_bit() -> None:
    """A planner of uneven speed in a real thread; then the same chunks at the ticks that the first run took down."""
    actions = play(Ahead(Slow(), EXECUTE, ACT), 60, pause=0.004)
    assert len(set(numbers(actions, "chunk_from"))) >= 3
    assert_repeated(actions)


def assert_repeated(actions: list[Action]) -> None:
    extra = {key: np.concatenate([action.extra[key] for action in actions]) for key in COUNTS}
    again = play(Ahead(Ramp(), EXECUTE, ACT, Scheduled(Ramp(), schedule_of(extra))), len(actions))
    for one, other in zip(actions, again, strict=True):
        assert np.array_equal(one.value, other.value)
        assert all(np.array_equal(one.extra[key], other.extra[key]) for key in one.extra)


def test_chunks_that_came_too_late_are_repeated_too() -> None:
    class Uneven(Late):
        def submit(self, obs: Obs, tick: int, draw: int) -> None:
            self._delay = (2, H + 3, 0, 5, H)[len(self.asked) % 5]
            super().submit(obs, tick, draw)

    actions = play(Ahead(Ramp(), EXECUTE, ACT, Uneven(Ramp(), 0)), 90)
    assert len(set(numbers(actions, "chunk_from"))) > 5
    assert_repeated(actions)


def test_it_has_one_row() -> None:
    assert isinstance(Ahead(Ramp(), EXECUTE, ACT, Late(Ramp(), 0)).extra_spec, Spec)
    with pytest.raises(ValueError, match="one row"):
        Ahead(Ramp(), EXECUTE, ACT, Late(Ramp(), 0)).reset(np.ones(2, bool), np.arange(2))

"""Whatever a policy asks for, what leaves the guard is finite, within limits, and within rate of what was last sent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardware.guard import Guard
from robo_rl.errors import UserError
from robo_rl.kinematics import Kinematics
from tests.fakes import tiny_arm

ARM = tiny_arm()
LOW, HIGH = ARM.array("low").astype(np.float32), ARM.array("high").astype(np.float32)
STEP = (ARM.array("max_speed") * ARM.dt).astype(np.float32)
HOME = ARM.array("home").astype(np.float32)
ANY = st.floats(width=32, allow_nan=True, allow_infinity=True) | st.floats(-3, 3, width=32)
SEQUENCES = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.tuples(arrays(np.float32, (n, 2), elements=ANY), arrays(bool, n)), min_size=1, max_size=12)
)


def ready(n: int = 1, **options: float) -> Guard:
    guard = Guard(ARM, n, **options)
    guard.reset(np.ones(n, bool), np.tile(HOME, (n, 1)))
    return guard


def everyone(n: int = 1) -> np.ndarray:
    return np.ones(n, bool)


@settings(max_examples=150, deadline=None)
@given(SEQUENCES)
def test_what_leaves_obeys_every_limit(sequence: list[tuple[np.ndarray, np.ndarray]]) -> None:
    n = len(sequence[0][1])
    guard = ready(n)
    sent = guard.sent
    for target, live in sequence:
        faulted = guard.faults.copy()
        asked = target.copy()
        out = guard.filter(target, live)
        assert out.dtype == np.float32 and np.isfinite(out).all()
        assert (out >= LOW).all() and (out <= HIGH).all()
        assert (np.abs(out.astype(np.float64) - sent) <= STEP + 2e-7).all()
        assert np.array_equal(out[~live | faulted], sent[~live | faulted])
        assert np.array_equal(guard.faults, faulted | (live & ~np.isfinite(target).all(axis=1)))
        assert np.array_equal(target, asked, equal_nan=True)
        assert np.array_equal(guard.sent, out)
        sent = out


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, (3, 2), elements=st.floats(-1, 1, width=32)))
def test_a_setpoint_within_all_limits_passes_bit_for_bit(fraction: np.ndarray) -> None:
    target = np.clip(HOME + fraction * STEP * np.float32(0.999), LOW, HIGH)
    assert np.array_equal(ready(3).filter(target, everyone(3)), target)


@pytest.mark.parametrize("bound", [LOW, HIGH])
def test_the_limits_themselves_pass(bound: np.ndarray) -> None:
    guard = Guard(ARM, 1)
    guard.reset(everyone(), bound[None])
    assert np.array_equal(guard.filter(bound[None], everyone())[0], bound)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_latches_and_says_which_joint(bad: float) -> None:
    guard = ready(2)
    out = guard.filter(np.array([HOME, [0.3, bad]], np.float32), everyone(2))
    assert np.array_equal(out[1], HOME)
    assert guard.faults.tolist() == [False, True]
    assert list(guard.reasons) == ["", "setpoint is not finite: elbow"]


def test_a_fault_stays_until_it_is_cleared_and_then_needs_a_reset() -> None:
    guard, row = ready(2), np.array([False, True])
    guard.filter(np.array([HOME, [np.nan, 0]], np.float32), everyone(2))
    for _ in range(20):
        out = guard.filter(np.tile(HOME + STEP, (2, 1)), everyone(2))
        guard.reset(row, HOME[None] + np.zeros((2, 2)))
        assert guard.faults.tolist() == [False, True] and np.array_equal(out[1], HOME)
    guard.clear(row)
    assert not guard.faults.any() and list(guard.reasons) == ["", ""]
    with pytest.raises(RuntimeError, match="never reset"):
        guard.filter(np.tile(HOME, (2, 1)), everyone(2))
    guard.reset(row, np.tile(HOME, (2, 1)))
    assert (guard.filter(np.tile(HOME + STEP, (2, 1)), everyone(2))[1] > HOME).all()


def test_the_first_reason_is_kept() -> None:
    guard = ready()
    guard.fault(everyone(), "bus error")
    guard.missed(100)
    assert guard.reasons[0] == "bus error"


def test_the_rate_counts_from_what_was_sent_not_from_what_was_asked() -> None:
    guard = ready()
    far = np.array([[-9.0, 9.0]], np.float32)
    first, second = guard.filter(far, everyone()), guard.filter(far, everyone())
    assert np.allclose(first[0], HOME + STEP * [-1, 1], atol=1e-6)
    assert np.allclose(second[0], HOME + 2 * STEP * [-1, 1], atol=1e-6)


def test_a_start_outside_the_limits_returns_at_the_rate() -> None:
    guard = Guard(ARM, 1)
    guard.reset(everyone(), HIGH[None] + 0.2)
    out = guard.filter(HOME[None], everyone())
    assert np.allclose(out[0], HIGH + 0.2 - STEP, atol=1e-6)


def test_a_row_that_was_never_reset_is_refused() -> None:
    guard = Guard(ARM, 2)
    guard.reset(np.array([True, False]), np.tile(HOME, (2, 1)))
    guard.filter(np.tile(HOME, (2, 1)), np.array([True, False]))
    with pytest.raises(RuntimeError, match="never reset"):
        guard.filter(np.tile(HOME, (2, 1)), everyone(2))


def test_a_measured_position_that_is_not_finite_latches() -> None:
    guard = Guard(ARM, 1)
    guard.reset(everyone(), np.full((1, 2), np.nan))
    assert guard.faults[0] and "measured position" in guard.reasons[0]
    assert np.array_equal(guard.filter(HOME[None], everyone())[0], HOME)


@pytest.mark.parametrize(("age", "faulted"), [(0.19, False), (0.21, True), (np.nan, True), (np.inf, True)])
def test_an_old_observation_latches(age: float, faulted: bool) -> None:
    guard = ready(max_age=0.2)
    guard.stale(age)
    assert guard.faults[0] == faulted


def test_staleness_is_judged_row_by_row() -> None:
    guard = ready(3)
    guard.stale(np.array([0.0, 9.0, 0.1]), limit=0.5, what="camera")
    assert guard.faults.tolist() == [False, True, False]
    assert guard.reasons[1] == "camera is 9.000 s old, limit 0.500 s"


@pytest.mark.parametrize(("count", "faulted"), [(0, False), (4, False), (5, True), (6, True)])
def test_missed_deadlines_in_a_row_latch(count: int, faulted: bool) -> None:
    guard = ready(max_misses=5)
    guard.missed(count)
    assert guard.faults[0] == faulted


BOX = ((-0.05, -1.0, 0.10), (0.20, 1.0, 1.0))  # [m]
TOOL = Kinematics(ARM)


def boxed() -> Guard:
    guard = Guard(ARM, 1, workspace=BOX)
    guard.reset(everyone(), HOME[None])
    return guard


def outside(position: np.ndarray) -> float:
    """How far the tool is outside of the box [m]."""
    place = TOOL.tool_pose(position)[0, :3]
    return float(np.maximum(np.array(BOX[0]) - place, place - np.array(BOX[1])).max())


@settings(max_examples=150, deadline=None)
@given(st.lists(arrays(np.float32, (1, 2), elements=ANY), min_size=1, max_size=30))
def test_the_tool_never_leaves_its_box_and_the_joints_keep_their_limits(targets: list[np.ndarray]) -> None:
    guard = boxed()
    assert outside(guard.sent) < 0
    for target in targets:
        sent = guard.sent
        out = guard.filter(target, everyone())
        assert outside(out) <= 0
        assert (out >= LOW).all() and (out <= HIGH).all() and (np.abs(out - sent) <= STEP + 2e-7).all()


def test_a_box_does_not_change_what_lies_inside() -> None:
    target = (HOME + STEP * np.float32(0.5))[None]
    assert np.array_equal(boxed().filter(target, everyone()), target)


def test_a_tool_is_stopped_at_the_wall_and_can_leave_it() -> None:
    guard = boxed()
    forward = np.array([[1.3, 0.7]], np.float32)  # bends over: the tool goes forward and down
    for _ in range(200):
        stopped = guard.filter(forward, everyone())
    assert -2e-3 < outside(stopped) <= 0 and np.array_equal(guard.filter(forward, everyone()), stopped)
    for _ in range(200):
        back = guard.filter(HOME[None], everyone())
    assert np.array_equal(back[0], HOME) and not guard.faults[0]


def test_a_tool_that_begins_outside_may_only_come_closer() -> None:
    guard = boxed()
    start = np.array([[1.2, 0.7]], np.float32)
    guard.reset(everyone(), start)
    far = outside(start)
    assert far > 0.02
    assert outside(guard.filter(start + 0.2, everyone())) <= far + 1e-9
    for _ in range(300):
        out = guard.filter(HOME[None], everyone())
        assert outside(out) <= max(far, 0) + 1e-9
        far = outside(out)
    assert np.array_equal(out[0], HOME)


def test_a_box_without_room_is_refused() -> None:
    with pytest.raises(UserError, match=r"workspace: low=.* must be below high="):
        Guard(ARM, 1, workspace=((0.1, 0.0, 0.0), (0.1, 1.0, 1.0)))

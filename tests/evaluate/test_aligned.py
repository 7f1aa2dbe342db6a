"""Two episodes on one axis of time."""

from __future__ import annotations

import numpy as np
import pytest

from robo_rl.evaluate.aligned import ALIGN, overlaid, pairs, times
from robo_rl.log.episode import Episode
from robo_rl.types import Kind


def episode(seed: int, still: int, moving: int) -> Episode:
    """Stands still for some ticks, then moves evenly."""
    length = still + moving
    way = np.maximum(0, np.arange(length) - still + 1)[:, None].astype(np.float32)
    kind = np.array([Kind.FIRST, *[Kind.MID] * (length - 2), Kind.LAST], np.uint8)
    flat, flags = np.zeros(length, np.float32), np.zeros(length, np.uint8)
    pictures = np.zeros((length, 2, 2, 3), np.uint8)
    obs = {"x": way, "camera/front": pictures}
    return Episode(obs, way, {}, way, flat, flat, kind, flags.view(np.int8), flags, seed)


ONE, TWO = episode(3, 5, 10), episode(4, 20, 12)


@pytest.mark.parametrize(("align", "ticks"), [("start", (0, 0)), ("motion", (5, 20)), ("end", (14, 31))])
def test_what_lies_at_time_zero(align: str, ticks: tuple[int, int]) -> None:
    for found, tick in zip((ONE, TWO), ticks, strict=True):
        assert times(found, 0.1, align)[tick] == 0 and times(found, 0.1, align)[0] == pytest.approx(-0.1 * tick)
    assert align in ALIGN


def test_episodes_of_one_seed_belong_together() -> None:
    again = episode(3, 1, 9)
    assert pairs([ONE, TWO], [again]) == [(ONE, again)]
    assert pairs([ONE], [TWO, again]) == [(ONE, again)]
    assert pairs([ONE], [TWO]) == [(ONE, TWO)]  # no seed is in both


def test_signals_lie_over_one_another() -> None:
    (x, *rest) = overlaid(("a", "b"), (ONE, TWO), (0.1, 0.05), "motion")
    assert [line.name for line in x.lines] == ["a [0]", "b [0]"] and len(rest) == 3  # no picture
    at = [dict(zip(np.round(line.x, 6), line.y, strict=True)) for line in x.lines]
    assert at[0][0.0] == at[1][0.0] == 1.0 and at[0][0.1] == at[1][0.05] == 2.0
    assert x.x_range == pytest.approx((-1.0, 0.9))


def test_an_episode_that_never_moves_begins_at_once() -> None:
    still = episode(1, 10, 0)
    assert times(still, 0.1, "motion")[0] == 0

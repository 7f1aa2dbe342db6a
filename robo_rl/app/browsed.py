"""The episodes that a report's browser shows: failures first, and those that two runs have side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from robo_rl.app.video import data_uri, seen
from robo_rl.evaluate import curves, page
from robo_rl.evaluate.aligned import overlaid, pairs, times
from robo_rl.evaluate.gather import Source
from robo_rl.log.episode import Episode
from robo_rl.log.reader import LogStream


@dataclass(frozen=True)
class _Taken:
    """An episode with all that a page shows of it."""

    source: Source
    episode: Episode
    dt: float  # [s]
    videos: tuple[tuple[str, float], ...]  # data URI, where the episode begins in it [s]

    @property
    def name(self) -> str:
        outcome = "success" if self.episode.succeeded else "no success"
        return f"{self.source.name}: seed {self.episode.seed}, {outcome}"


def browsed(sources: Sequence[Source], most: int, align: str) -> tuple[list[page.Shown], list[page.Shown]]:
    """At most so many pairs of episodes, and at most so many alone; `align` is one of `aligned.ALIGN`."""
    if not most:
        return [], []
    taken = [list(_take(source, _wanted(source, sources, most))) for source in sources]
    both = [(one, two) for a, b in combinations(taken, 2) if _comparable(a, b) for one, two in _pairs(a, b)]
    alone = sorted((one for part in taken for one in part), key=lambda one: one.episode.succeeded)
    return [_beside(one, two, align) for one, two in both[:most]], [_alone(one) for one in alone[:most]]


def _wanted(source: Source, sources: Sequence[Source], most: int) -> list[int]:
    """Seeds of a source to show: failures first, and among equals those that another source has, too."""
    task = source.about.get("task")
    others = [other for other in sources if other is not source and other.about.get("task") == task]
    shared = {row["seed"] for other in others for row in other.rows}
    rows = sorted(source.rows, key=lambda row: (row["success"] is not False, row["seed"] not in shared, row["seed"]))
    first = [row["seed"] for row in rows[:most]]
    failed = [row["seed"] for other in others for row in other.rows if row["success"] is False][:most]
    return [*first, *(row["seed"] for row in rows[most:] if row["seed"] in failed)]


def _take(source: Source, seeds: Sequence[int]) -> Iterator[_Taken]:
    """Episodes by their seeds; the run's video shows row 0, episode after episode."""
    video = data_uri(source.video) if source.video else ""
    for path in source.logs:
        with LogStream(path) as log:
            dt, start = float(log.meta["dt"]), 0.0
            for episode in log:
                if episode.complete and episode.seed in seeds:
                    filmed = ((video, start),) if video and episode.row == 0 else ()
                    saw = seen(episode, dt)
                    yield _Taken(source, episode, dt, (*filmed, *(((saw, 0.0),) if saw else ())))
                start += len(episode) * dt


def _comparable(one: Sequence[_Taken], two: Sequence[_Taken]) -> bool:
    return bool(one and two) and one[0].source.about.get("task") == two[0].source.about.get("task")


def _pairs(one: Sequence[_Taken], two: Sequence[_Taken]) -> list[tuple[_Taken, _Taken]]:
    """Those whose outcomes differ first."""
    of = {id(taken.episode): taken for taken in (*one, *two)}
    found = pairs([taken.episode for taken in one], [taken.episode for taken in two])
    both = [(of[id(a)], of[id(b)]) for a, b in found]
    return sorted(both, key=lambda pair: pair[0].episode.succeeded == pair[1].episode.succeeded)


def _alone(one: _Taken) -> page.Shown:
    views = [page.View(video, start) for video, start in one.videos]
    return page.Shown(one.name, curves.episode_plots(one.episode, one.dt), (len(one.episode) - 1) * one.dt, views)


def _beside(one: _Taken, two: _Taken, align: str) -> page.Shown:
    both, names = (one, two), (one.source.name, two.source.name)
    axes = [times(taken.episode, taken.dt, align) for taken in both]
    first, last = min(axis[0] for axis in axes), max(axis[-1] for axis in axes)
    views = [
        page.View(video, start + first - axis[0])
        for taken, axis in zip(both, axes, strict=True)
        for video, start in taken.videos
    ]
    drawn = overlaid(names, (one.episode, two.episode), (one.dt, two.dt), align)
    return page.Shown(f"{one.name} | {two.name}", drawn, float(last - first), views)

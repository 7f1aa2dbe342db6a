"""From messages to episodes, tick by tick as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from robo_rl.log.columns import SignalColumn, steps
from robo_rl.log.episode import Episode
from robo_rl.log.header import Specs
from robo_rl.log.images import Album
from robo_rl.log.layout import APPLIED, COMMANDED, action_topic, capture_topic, obs_topic, signals
from robo_rl.log.records import Messages
from robo_rl.types import Kind

Columns = dict[str, np.ndarray]
"""Name -> (K, ...): the fields of `step`, "time" [s], "<topic>" and "<topic> stamp" of every signal."""


class Pending:
    """Messages whose tick is not complete: other programs may have cut a tick in two when they rewrote a file."""

    def __init__(self, specs: Specs) -> None:
        self._signals = {topic: SignalColumn(topic, feature) for topic, feature in signals(*specs).items()}
        self._waiting: dict[str, list[Columns]] = {topic: [] for topic in ("step", *self._signals)}

    def add(self, topic: str, messages: Messages) -> None:
        """Take in messages; other topics than the specs' are left alone."""
        if topic == "step":
            time = messages.times.astype(np.float64) / 1e9
            self._waiting[topic].append({**steps(messages.payloads), "time": time})
        elif topic in self._signals:
            value, stamp = self._signals[topic](messages.payloads)
            self._waiting[topic].append({topic: value, f"{topic} stamp": stamp})

    def take(self) -> Columns:
        """The ticks of which every message is there."""
        ticks = min(sum(len(next(iter(part.values()))) for part in parts) for parts in self._waiting.values())
        found: Columns = {}
        for topic, parts in self._waiting.items():
            columns = parts[0] if len(parts) == 1 else _joined(parts)
            found |= {name: column[:ticks] for name, column in columns.items()}
            rest = {name: column[ticks:] for name, column in columns.items()}
            self._waiting[topic] = [rest] if rest and len(next(iter(rest.values()))) else []
        return found

    def require_empty(self) -> None:
        """Raise ValueError where messages of some ticks are missing."""
        for topic, parts in self._waiting.items():
            if parts:
                raise ValueError(f"messages on {topic} of ticks that other channels lack")


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


class Assembler:
    """Cuts a stream of ticks into episodes: each begins with FIRST and goes up to LAST, or to where it breaks off.

    Args:
        album: of the pictures that the episodes show.
        anywhere: the stream is a part of a log, and its first episode may begin in its middle.
    """

    def __init__(self, specs: Specs, meta: Mapping[str, Any], album: Album, anywhere: bool = False) -> None:
        self._specs, self._meta, self._album, self._anywhere = specs, meta, album, anywhere
        self._open: list[Columns] = []
        self._tick = -1

    def add(self, ticks: Columns) -> Iterator[Episode]:
        """Take in K ticks; the episodes that ended with them."""
        if not ticks or not len(ticks["kind"]):
            return
        kind, number = ticks["kind"], ticks["tick"].astype(np.int64)
        before = number[0] - 1 if self._tick < 0 else self._tick
        gap, self._tick = np.diff(number, prepend=before) > 1, int(number[-1])
        breaks = np.flatnonzero((kind == Kind.FIRST) | (kind == Kind.RESET) | gap)
        cuts = np.union1d(breaks, np.flatnonzero(kind == Kind.LAST) + 1)
        for start, stop in zip([0, *cuts], [*cuts, len(kind)], strict=True):
            if start > 0 or start in breaks:
                yield from self.end()
            inside = self._anywhere and stop > start and kind[start] != Kind.RESET
            if stop > start and (self._open or kind[start] == Kind.FIRST or inside):
                self._open.append({name: column[start:stop] for name, column in ticks.items()})
        if kind[-1] == Kind.LAST:
            yield from self.end()

    def end(self) -> Iterator[Episode]:
        """The episode that is under way, as far as it goes."""
        if self._open:
            yield self._episode(_joined(self._open))
            self._open = []

    def _episode(self, ticks: Columns) -> Episode:
        fields = {name: ticks[name] for name in ("reward", "discount", "kind", "success", "reason", "time")}
        taken = self._album.features
        topics = {key: capture_topic(key) if key in taken else obs_topic(key) for key in self._specs.obs}
        captured = {key: ticks[f"{topic} stamp"] for key, topic in topics.items()}
        return Episode(
            obs={key: self._observed(key, ticks[topic]) for key, topic in topics.items()},
            action=ticks[COMMANDED],
            extra={key: ticks[action_topic(key)] for key in self._specs.extra},
            applied=ticks[APPLIED],
            seed=int(ticks["seed"][0]),
            row=int(self._meta["row"]),
            stamp={key: stamp for key, stamp in captured.items() if not np.isnan(stamp).all()},
            meta=self._meta,
            **fields,
        )

    def _observed(self, key: str, values: np.ndarray) -> np.ndarray:
        """An observation's values; pictures, which look like an array, where the ticks only name them."""
        if key not in self._album.features:
            return values
        return cast(np.ndarray, self._album.pictures(key, values[:, 0]))

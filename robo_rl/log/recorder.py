"""Recording: an observer of the loop that writes one MCAP file a row.

The control tick only copies arrays; a thread of its own compresses and writes what has gathered every `FLUSH` seconds,
so a stalled disk does not stall the robot and a killed process loses at most about that much.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from robo_rl import random
from robo_rl.errors import UserError
from robo_rl.log.buffer import NANO, Moment, TickBuffer
from robo_rl.log.header import Specs, attachments, complete
from robo_rl.log.layout import Layout
from robo_rl.log.mcap_file import McapFile, Text
from robo_rl.log.schema import log_text
from robo_rl.spec import Feature, Spec
from robo_rl.types import NO_SEED, Action, Kind, Reason, Step

FLUSH = 0.1  # [s], age at which ticks go to the disk
CHUNK = 64 * 1024  # bytes of a row's chunk before compression
BACKLOG = 64 * 1024 * 1024  # bytes that may wait for a slow disk
PATIENCE = 5.0  # [s] a full backlog is waited for before recording stops


class Recorder:
    """Observer `(step, action)` that logs whole rows into `folder/<name>-row000.mcap`.

    RESET ticks of a row that has a seed are logged as steps; rows without a seed are not. Log times are the recorder's
    clock: Unix time at its start plus monotonic time since, so they never run backwards; simulated time is in the
    stamps.

    Args:
        folder: created where needed; refused when it holds logs of this name.
        obs_spec, act_spec, extra_spec: what is logged; observation keys outside `obs_spec` are not.
        meta: stored in every file as JSON: task, robot, configuration, bundle, ...; its "name" (default "log") names
            the files.
        dt: control period [s].
        rows: rows to log (default: all).
        fraction: share of episodes to log, chosen by a hash of the seed.
        messages: one text a row on what is wrong with it ("" where nothing is), logged to `safety` when it changes.
        timing: further named numbers of a tick [s] for the `timing` channel; always the same names.

    Raises:
        UserError: the folder cannot be written or holds such logs.
    """

    def __init__(
        self,
        folder: str | Path,
        obs_spec: Spec,
        act_spec: Feature,
        extra_spec: Spec,
        meta: Mapping[str, Any],
        dt: float,
        rows: Sequence[int] | None = None,
        fraction: float = 1.0,
        messages: Callable[[], Sequence[str]] | None = None,
        timing: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        self.folder, self.name = Path(folder), str(meta.get("name", "log"))
        self._specs = Specs(obs_spec, act_spec, extra_spec)
        self._fraction, self._messages, self._timing = fraction, messages, timing or dict
        self._rows: slice | np.ndarray = slice(None) if rows is None else np.asarray(rows, int)
        self._layout = Layout(*self._specs, ("monotonic", "wall", *self._timing()))
        self._meta = complete(meta, dt)
        _prepare(self.folder, self.name)
        self._start = time.time_ns() - time.monotonic_ns()  # [ns], of monotonic time zero
        self._tick, self._n, self._closed = 0, 0, False
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._full: queue.SimpleQueue[TickBuffer | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[TickBuffer] = queue.SimpleQueue()
        self._files: dict[int, McapFile] = {}
        self._thread: threading.Thread | None = None

    def __call__(self, step: Step, action: Action) -> None:
        """Log one tick, (N, ...). Costs the tick a copy; never raises for the disk's sake."""
        if self._stopped:
            return
        if self._thread is None:
            self._begin(step.n)
        now = time.monotonic_ns()
        self._follow(step)
        if self._keep.any():
            timing = [now / NANO, time.time(), *self._timing().values()]
            moment = Moment(self._keep, self._start + now, self._tick, self._episode, timing)
            with self._lock:
                self._current.add(step, action, self._rows, moment)
                self._add_texts(step, moment)
                if self._current.full:
                    self._hand_over()
        self._tick += 1

    def event(self, text: str, row: int = 0) -> None:
        """Put a text onto the `events` channel of a row, e.g. what a person decided."""
        if self._thread is not None and not self._stopped:
            with self._lock:
                index = list(self._row_ids).index(row)
                self._add_text("events", "INFO", text, index, self._start + time.monotonic_ns())

    def close(self) -> None:
        """Write what is left, finish the files. May be called twice.

        Raises:
            UserError: recording had stopped before, or stops now (disk full, ...). What was written stays readable.
        """
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            with self._lock:
                self._full.put(self._current)
                self._current = self._new_buffer()
            self._full.put(None)
            self._thread.join()
        if isinstance(self._error, OSError):
            reason = self._error.strerror or self._error
            raise UserError(f"out={self.folder}: recording stopped early: {reason}") from self._error
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except UserError:
            if error is None:  # never hide why the run ended
                raise

    @property
    def _stopped(self) -> bool:
        return self._closed or self._error is not None

    def _begin(self, n: int) -> None:
        self._n = n
        rows = np.arange(n)[self._rows]
        self._row_ids, self._texts = rows, [""] * len(rows)
        self._seed = np.full(len(rows), NO_SEED, np.int64)
        self._keep = np.zeros(len(rows), bool)
        self._kind = np.full(len(rows), Kind.RESET, np.uint8)
        self._episode = np.zeros(len(rows), np.uint64)
        self._ticks = max(1, CHUNK // self._layout.template.size)
        self._allowed = max(4, BACKLOG // (self._ticks * len(rows) * self._layout.template.size))
        self._current = self._new_buffer()
        self._free.put(self._new_buffer())
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def _new_buffer(self) -> TickBuffer:
        self._allowed -= 1
        return TickBuffer(self._layout, self._specs.obs, self._specs.extra, self._ticks, len(self._row_ids))

    def _follow(self, step: Step) -> None:
        """Follow the rows' episodes: which one it is, and whether it is logged."""
        seed, kind = step.seed[self._rows], step.kind[self._rows]
        self._episode = self._episode + (self._kind == Kind.LAST)
        self._started, self._kind = kind == Kind.FIRST, kind
        if not np.array_equal(seed, self._seed):
            chosen = random.uniform(seed, 0, random.stream("log"), 1)[:, 0] < self._fraction
            self._seed, self._keep = seed, chosen & (seed != NO_SEED)

    def _add_texts(self, step: Step, moment: Moment) -> None:
        for index in np.flatnonzero(self._keep & self._started):
            self._add_text("events", "INFO", f"episode started, seed {self._seed[index]}", index, moment.time)
        for index in np.flatnonzero(self._keep & (self._kind == Kind.LAST)):
            reason = Reason(int(step.reason[self._row_ids[index]])).label
            self._add_text("events", "INFO", f"episode ended, {reason}", index, moment.time)
        if self._messages is None:
            return
        messages = self._messages()
        for index, row in enumerate(self._row_ids):
            text = messages[int(row)]
            if self._keep[index] and text != self._texts[index]:
                self._add_text("safety", "ERROR" if text else "INFO", text or "cleared", index, moment.time)
                self._texts[index] = text

    def _add_text(self, topic: str, level: str, text: str, index: int | np.intp, now: int) -> None:
        record: Text = (self._layout.channel_id(topic), now, log_text(now, level, text, self.name))
        self._current.texts.append((int(index), record))

    def _hand_over(self) -> None:
        """Send the current buffer to the disk and take a fresh one; wait for a slow disk, but not for long."""
        self._full.put(self._current)
        try:
            self._current = self._free.get_nowait()
            return
        except queue.Empty:
            if self._allowed > 0:
                self._current = self._new_buffer()
                return
        try:
            self._current = self._free.get(timeout=PATIENCE)
        except queue.Empty:
            self._error = OSError("the disk is too slow")

    def _take_partial(self) -> TickBuffer | None:
        with self._lock:
            if self._current.empty or self._error is not None:
                return None
            partial = self._current
            self._current = self._new_buffer() if self._free.empty() else self._free.get()
            return partial

    def _work(self) -> None:
        """The writing thread."""
        while True:
            try:
                buffer = self._full.get(timeout=FLUSH)
                if buffer is None:
                    break
            except queue.Empty:
                buffer = self._take_partial()
            if buffer is not None:
                self._guarded(lambda ready=buffer: self._write(ready))
                buffer.clear()
                self._free.put(buffer)
        self._guarded(self._finish)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do it unless recording has stopped; an error stops it, and control goes on."""
        try:
            if self._error is None:
                action()
        except Exception as error:
            self._error = error
            for file in self._files.values():
                file.close()

    def _write(self, buffer: TickBuffer) -> None:
        buffer.seal()
        for index, row in enumerate(self._row_ids):
            records, times, texts = buffer.chunk(index)
            if len(records) or texts:
                if row not in self._files:
                    self._files[row] = self._open(int(row))
                self._files[row].add(records, times, texts)

    def _open(self, row: int) -> McapFile:
        header = attachments(self._specs, {**self._meta, "row": row, "n": self._n})
        path = self.folder / f"{self.name}-row{row:03d}.mcap"
        return McapFile(path, self._layout, header, time.time_ns())

    def _finish(self) -> None:
        for file in self._files.values():
            file.finish()
            file.close()


def _prepare(folder: Path, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written: {error.strerror}") from error
    if next(folder.glob(f"{name}-row*.mcap"), None) is not None:
        raise UserError(f"out={folder}: already holds logs, which are never overwritten; choose another folder")

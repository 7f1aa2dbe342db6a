"""Recording: an observer of the loop that writes one MCAP file a row.

The control tick only copies arrays into a ring; a thread, or a process of its own, compresses and writes what has
gathered every `FLUSH` seconds. So a stalled disk does not stall the robot, and a killed process loses at most about
that much; a killed control loop whose recorder is a process of its own loses nothing.
"""

from __future__ import annotations

import fcntl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from robo_rl import random
from robo_rl.errors import UnknownName, UserError
from robo_rl.log.captures import Captures
from robo_rl.log.drain import Recording
from robo_rl.log.header import Specs, complete
from robo_rl.log.images import FORMATS
from robo_rl.log.layout import Layout
from robo_rl.log.process import RecorderProcess
from robo_rl.log.ring import LONGEST_TEXT, NANO, Moment
from robo_rl.log.schema import log_text
from robo_rl.log.thread import RecorderThread
from robo_rl.spec import Feature, Spec
from robo_rl.types import NO_SEED, Action, Kind, Reason, Step

CHUNK = 64 * 1024  # bytes of a row's chunk before compression
BACKLOG = 32 * 1024 * 1024  # bytes that may wait for a slow disk
PICTURES = 64 * 1024 * 1024  # bytes of pictures that may wait, too
PATIENCE = 5.0  # [s] a full backlog is waited for before recording stops


class Recorder:
    """Observer `(step, action)` that logs whole rows into `folder/<name>-row000.mcap`.

    RESET ticks of a row that has a seed are logged as steps; rows without a seed are not. Log times are the recorder's
    clock: Unix time at its start plus monotonic time since, so they never run backwards; simulated time is in the
    stamps.

    Args:
        folder: created where needed; refused when it holds logs of this name, or another recorder writes them.
        obs_spec, act_spec, extra_spec: what is logged; observation keys outside `obs_spec` are not.
        meta: stored in every file as JSON: task, robot, configuration, bundle, ...; its "name" (default "log") names
            the files.
        dt: control period [s].
        rows: rows to log (default: all).
        fraction: share of episodes to log, chosen by a hash of the seed.
        messages: one text a row on what is wrong with it ("" where nothing is), logged to `safety` when it changes.
        timing: further named numbers of a tick [s] for the `timing` channel; always the same names.
        realtime: rows of a loop that must not wait: a process of its own writes, and a tick that finds the backlog full
            is left out and counted in `lost`. Elsewhere (None) a thread writes, and a full backlog is waited for.
        report: told once, in one line, when recording stops early; control goes on.
        images: format of pictures: png is without loss, jpeg takes a tenth of the time and of the room. Only new
            captures are written; in a loop that must not wait, those that find no room are left out before any tick
            is, and counted in `lost_pictures`.

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
        realtime: int | None = None,
        report: Callable[[str], None] | None = None,
        images: str = FORMATS[0],
    ) -> None:
        if images not in FORMATS:
            raise UnknownName("images", images, FORMATS)
        self.folder, self.name = Path(folder), str(meta.get("name", "log"))
        self._specs, self._meta = Specs(obs_spec, act_spec, extra_spec), complete({**meta, "images": images}, dt)
        self._fraction, self._messages, self._timing = fraction, messages, timing or dict
        self._rows: slice | np.ndarray = slice(None) if rows is None else np.asarray(rows, int)
        self._realtime, self._report, self._images, self.lost = realtime is not None, report, images, 0
        self.lost_pictures: dict[str, int] = {}  # by key
        self._names = ("monotonic", "wall", *self._timing())
        self._layout = Layout(*self._specs, self._names)
        self._start = time.time_ns() - time.monotonic_ns()  # [ns], of monotonic time zero
        self._tick, self._untold, self._closed, self._told = 0, 0, False, False
        self._writer: RecorderThread | RecorderProcess | None = None
        self._text_lock = threading.Lock()  # `event` may be called from another thread
        self._lock = _claim(self.folder, self.name)
        if realtime is not None:  # nothing is left to be done in the first tick
            self._begin(realtime)

    def __call__(self, step: Step, action: Action) -> None:
        """Log one tick, (N, ...). Costs the tick a copy; never raises for the disk's sake."""
        if self._stopped:
            return
        if self._writer is None:
            self._begin(step.n)
        now = time.monotonic_ns()
        self._follow(step)
        if self._keep.any() and self._room():
            timing = [now / NANO, time.time(), *self._timing().values()]
            time_now = self._start + now
            shown = self._captures(step, self._rows, self._keep, self._started, time_now)
            moment = Moment(self._keep, time_now, self._tick, self._episode, timing, shown)
            self._add_texts(step, moment)
            self._ring.add(step, action, self._rows, moment)
        self._tick += 1

    @property
    def losses(self) -> dict[str, Any]:
        """What a loop that must not wait left out so far: ticks, and pictures by key."""
        return {"ticks": self.lost, "pictures": dict(self.lost_pictures)}

    def event(self, text: str, row: int = 0) -> None:
        """Put a text onto the `events` channel of a row, e.g. what a person decided."""
        if self._writer is not None and not self._stopped:
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
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            _release(self._lock)
        if self._writer is not None and self._ring.stopped:
            raise UserError(f"out={self.folder}: recording stopped early: {self._ring.reason}")

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
        """Whether nothing is recorded any more; tells so once."""
        if self._closed or self._writer is None:
            return self._closed
        self._writer.look()
        if self._ring.stopped and not self._told:
            self._told = True
            if self._report is not None:
                self._report(f"{self.folder}: recording stopped: {self._ring.reason}")
        return self._ring.stopped

    def _begin(self, n: int) -> None:
        rows = self._row_ids = np.arange(n)[self._rows]
        self._texts = [""] * len(rows)
        self._seed = np.full(len(rows), NO_SEED, np.int64)
        self._keep = np.zeros(len(rows), bool)
        self._kind = np.full(len(rows), Kind.RESET, np.uint8)
        self._episode = np.zeros(len(rows), np.uint64)
        folder, ids = self.folder.absolute(), tuple(int(row) for row in rows)
        about = (folder, self.name, self._specs, self._names, self._meta, ids, n)
        recording = Recording(*about, CHUNK, self._images, PICTURES)
        slots = max(4, BACKLOG // max(1, self._layout.template.size * len(rows)))
        self._writer = (RecorderProcess if self._realtime else RecorderThread)(self._layout, recording, slots)
        self._ring, self._pictures = self._writer.ring, self._writer.pictures
        keys = tuple(self._layout.pictures)
        self._captures = Captures(keys, self._pictures, len(rows), self._room_for, self._warn)
        self.lost_pictures = self._captures.lost

    def _follow(self, step: Step) -> None:
        """Follow the rows' episodes: which one it is, and whether it is logged."""
        seed, kind = step.seed[self._rows], step.kind[self._rows]
        self._episode = self._episode + (self._kind == Kind.LAST)
        self._started, self._kind = kind == Kind.FIRST, kind
        if not np.array_equal(seed, self._seed):
            chosen = random.uniform(seed, 0, random.stream("log"), 1)[:, 0] < self._fraction
            self._seed, self._keep = seed, chosen & (seed != NO_SEED)

    def _room(self) -> bool:
        """Whether a tick can be added; waits for a slow disk where that is allowed, but not for long."""
        assert self._writer is not None
        if self._realtime:
            return self._room_now()
        if 2 * self._ring.waiting > self._ring.slots:
            self._writer.wake()
        return self._wait_while(lambda: self._ring.full)

    def _room_for(self, key: str) -> bool:
        """Whether a picture can be added, see `_room`."""
        if self._realtime:
            return not self._pictures.full(key)
        return self._wait_while(lambda: self._pictures.full(key))

    def _wait_while(self, full: Callable[[], bool]) -> bool:
        """Wait for a slow disk; whether there is room now."""
        assert self._writer is not None
        end = time.monotonic() + PATIENCE
        while full() and not self._ring.stopped:
            if time.monotonic() > end:
                self._ring.stop("the disk is too slow")
            self._writer.wake()
            time.sleep(0.001)
        return not self._ring.stopped

    def _room_now(self) -> bool:
        """Count a tick that has no room; say how many there were as soon as there is room again."""
        if self._ring.full:
            self.lost, self._untold = self.lost + 1, self._untold + 1
            return False
        if self._untold:
            for index in range(len(self._row_ids)):
                self._warn(index, f"{self._untold} ticks not recorded: the disk is too slow")
            self._untold = 0
        return True

    def _warn(self, index: int, text: str) -> None:
        self._add_text("events", "WARNING", text, index, self._start + time.monotonic_ns())

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
        payload = log_text(now, level, text, self.name)
        if len(payload) > LONGEST_TEXT:
            kept = text.encode()[: len(text.encode()) - (len(payload) - LONGEST_TEXT) - 8]
            payload = log_text(now, level, kept.decode(errors="ignore"), self.name)
        with self._text_lock:
            self._ring.add_text(int(index), (self._layout.channel_id(topic), now, payload))


def _claim(folder: Path, name: str) -> IO[str]:
    """The lock of the folder's logs of this name. It goes with the process that holds it, so a kill leaves none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        lock = (folder / f".{name}.lock").open("w")
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise UserError(f"out={folder}: another recorder writes there; choose another folder") from error
    if next(folder.glob(f"{name}-row*.mcap"), None) is not None:
        _release(lock)
        raise UserError(f"out={folder}: already holds logs, which are never overwritten; choose another folder")
    return lock


def _release(lock: IO[str]) -> None:
    Path(lock.name).unlink(missing_ok=True)
    lock.close()

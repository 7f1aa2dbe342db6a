"""From the ring to the files: what the recorder's thread or process does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robo_rl.log.header import Specs, attachments
from robo_rl.log.images import encode, format_of
from robo_rl.log.layout import Layout, obs_topic
from robo_rl.log.mcap_file import McapFile, Text
from robo_rl.log.picture_ring import PictureRing, Waiting
from robo_rl.log.ring import TickRing
from robo_rl.log.schema import image
from robo_rl.spec import Feature, Spec

FLUSH = 0.1  # [s], age at which ticks go to the operating system: what a killed process loses
SYNC = 1.0  # [s], age at which they go to the disk: what a power cut loses besides
SYNC_SHARE = 0.05  # [s] that one pass may spend on it, so that many files on a slow disk do not hold up the flush


@dataclass(frozen=True)
class Recording:
    """What the files of a recording are: their names, their header and their channels."""

    folder: Path
    name: str
    specs: Specs
    timing: tuple[str, ...]  # names of the `timing` channel's values
    meta: Mapping[str, Any]
    rows: tuple[int, ...]
    n: int
    chunk: int  # bytes of a row's chunk before compression
    images: str = "png"  # format of the pictures
    backlog: int = 0  # bytes of pictures that may wait; a few a row always may

    @property
    def layout(self) -> Layout:
        return Layout(*self.specs, self.timing)

    def path(self, row: int) -> Path:
        return self.folder / f"{self.name}-row{row:03d}.mcap"

    def to_json(self) -> dict[str, Any]:
        specs = {name: getattr(self.specs, name).to_json() for name in Specs._fields}
        names = ("name", "timing", "meta", "rows", "n", "chunk", "images", "backlog")
        plain = {name: getattr(self, name) for name in names}
        return {"folder": str(self.folder), "specs": specs, **plain}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recording:
        obs, action, extra = (data["specs"][name] for name in Specs._fields)
        specs = Specs(Spec.from_json(obs), Feature.from_json(action), Spec.from_json(extra))
        lists = {"timing": tuple(data["timing"]), "rows": tuple(data["rows"])}
        return cls(**{**data, "folder": Path(data["folder"]), "specs": specs, **lists})


class Drain:
    """Empties the rings into one file a row. An error stops it for good and goes into the ring, where control sees it.

    Ticks go first: pictures are compressed in the time between two flushes, and those that are not wait.
    """

    def __init__(self, ring: TickRing, pictures: PictureRing, recording: Recording) -> None:
        self._ring, self._pictures, self._recording, self._layout = ring, pictures, recording, ring.layout
        self._picture_channels = {key: self._layout.channel_id(obs_topic(key)) for key in self._layout.pictures}
        self._longest = max(1, recording.chunk // self._layout.template.size)
        self._files: dict[int, McapFile] = {}
        self.error: Exception | None = None

    def work(self, wait: Callable[[float], bool]) -> None:
        """Empty the ring every `FLUSH` seconds until `wait(seconds)` says that nothing more comes; finish the files."""
        ended = False
        while not ended and self.error is None:
            ended = wait(0.0 if self._pictures.waiting else FLUSH)
            self._guarded(self._pass)
        self._guarded(self._finish)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            if self.error is None:
                action()
        except Exception as error:
            self.error = error
            self._ring.stop(str(getattr(error, "strerror", None) or error))
            for file in self._files.values():
                file.close()

    def _pass(self) -> None:
        texts: dict[int, list[Text]] = {}
        for index, text in self._ring.take_texts():
            texts.setdefault(index, []).append(text)
        for block in self._ring.take(self._longest):
            for index, row in enumerate(self._recording.rows):
                records, times = block.row(index)
                said = texts.pop(index, []) if len(records) else []
                if len(records):
                    self._file(row).add(records, times, said)
        for index, said in texts.items():
            self._file(self._recording.rows[index]).add(*self._nothing(), said)
        self._add_pictures(time.monotonic() + FLUSH)
        self._sync()

    def _add_pictures(self, until: float) -> None:
        """Compress and write what waits, oldest first, until a moment [s], monotonic."""
        found: dict[int, list[Text]] = {}
        while (waiting := self._pictures.oldest()) is not None:
            found.setdefault(waiting.row, []).append(self._picture(waiting))
            self._pictures.release(waiting)
            if time.monotonic() > until:
                break
        for index, pictures in found.items():
            self._file(self._recording.rows[index]).add_pictures(pictures)

    def _picture(self, waiting: Waiting) -> Text:
        kind = format_of(self._layout.pictures[waiting.key], self._recording.images)
        data = encode(waiting.picture, kind)
        payload = image(waiting.stamp, waiting.time, data, kind, waiting.key.rpartition("/")[2])
        return self._picture_channels[waiting.key], waiting.time, payload

    def _nothing(self) -> tuple[Any, Any]:
        return self._ring.bytes[:0, 0], self._ring.time[:0]

    def _sync(self) -> None:
        now = time.monotonic()
        for file in sorted(self._files.values(), key=lambda file: file.synced):
            if now - file.synced < SYNC or time.monotonic() - now > SYNC_SHARE:
                return
            file.sync()

    def _file(self, row: int) -> McapFile:
        if row not in self._files:
            header = attachments(self._recording.specs, {**self._recording.meta, "row": row, "n": self._recording.n})
            self._files[row] = McapFile(self._recording.path(row), self._layout, header, time.time_ns())
            _sync_folder(self._recording.folder)
        return self._files[row]

    def _finish(self) -> None:
        while self._pictures.waiting:
            self._add_pictures(time.monotonic() + FLUSH)
        for file in self._files.values():
            file.finish()
            file.close()


def _sync_folder(folder: Path) -> None:
    """Bring the folder's new entry to the disk, where the file system can."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        pass
    finally:
        os.close(number)

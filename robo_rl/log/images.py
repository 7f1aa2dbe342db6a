"""Pictures as logs hold them: compressed, one message a capture, decoded when somebody looks.

OpenCV is imported when there is a picture: most recordings have none, and the recorder's process has to be there soon.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robo_rl.errors import CorruptFile
from robo_rl.spec import Feature

FORMATS = ("png", "jpeg")
QUALITY = 95  # of JPEG, 0 to 100
_PNG = b"\x89PNG\r\n\x1a\n"
_SOF = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))  # JPEG markers with a size


def is_picture(feature: Feature) -> bool:
    """Whether an observation is a picture (H, W, 3) uint8, or distances (H, W) uint16."""
    seen, far = feature.shape[2:] == (3,) and feature.dtype == "uint8", feature.dtype == "uint16"
    return feature.size > 0 and (seen or (far and len(feature.shape) == 2))


def format_of(feature: Feature, wanted: str) -> str:
    """The format that a picture gets: distances are never JPEG."""
    return wanted if feature.dtype == "uint8" else "png"


def encode(picture: np.ndarray, kind: str) -> bytes:
    """A picture (H, W, 3) uint8 or (H, W) uint16 as PNG (without loss) or JPEG."""
    import cv2

    plain = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if kind == "jpeg" else []
    done, data = cv2.imencode(f".{kind}", plain, options)
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} cannot be written as {kind}")
    return data.tobytes()


def decode(data: bytes, feature: Feature) -> np.ndarray:
    """The picture, of the feature's shape and dtype. Raises ValueError where it is none, or another one."""
    import cv2

    if size_of(data) != feature.shape[:2]:
        raise ValueError(f"a picture of size {size_of(data)}, expected {feature.shape[:2]}")
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"a damaged picture: {error.err}") from error
    if found is None or found.shape != feature.shape or found.dtype != feature.dtype:
        raise ValueError("a damaged picture")
    return found if found.ndim == 2 else cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def size_of(data: bytes) -> tuple[int, int] | None:
    """Height and width that a PNG or JPEG announces: looked at first, since a damaged one may ask for any memory."""
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return height, width
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _SOF:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


@dataclass
class Pictures:
    """The pictures of an episode, (T, *shape): looks like an array, decodes what is asked for.

    Attributes:
        feature: of one picture.
        shown: (T,) log time [ns] of the message that holds each tick's picture.
        source: the file, for errors.
        frames: log time -> compressed picture, of those that the log has.
    """

    feature: Feature
    shown: np.ndarray
    source: str = ""
    frames: dict[int, bytes] = field(default_factory=dict)
    _last: tuple[int, np.ndarray] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.feature.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.feature.dtype)

    @property
    def captures(self) -> np.ndarray:
        """Ticks (F,) at which another picture is shown than at the tick before."""
        return np.flatnonzero(np.diff(self.shown, prepend=-1))

    @property
    def missing(self) -> int:
        """Ticks whose picture the log does not have: the picture before it is shown."""
        return int((~np.isin(self.shown, list(self.frames))).sum())

    def part(self, at: slice) -> Pictures:
        """Some ticks, still compressed."""
        return Pictures(self.feature, self.shown[at], self.source, self.frames)

    def __getitem__(self, at: Any) -> np.ndarray:
        shown = self.shown[at]
        if np.ndim(shown) == 0:
            return self._picture(int(shown))
        times, index = np.unique(shown, return_inverse=True)
        decoded = [self._picture(int(time)) for time in times]
        return np.stack(decoded)[index] if decoded else np.zeros((0, *self.feature.shape), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self[:]
        return found if dtype is None else found.astype(dtype)

    def _picture(self, time: int) -> np.ndarray:
        """The picture of a time, else the newest one before it, else the first one; black where there is none."""
        if time not in self.frames:
            earlier = [one for one in self.frames if one < time]
            time = max(earlier) if earlier else min(self.frames, default=-1)
        if time < 0:
            return np.zeros(self.feature.shape, self.dtype)
        if self._last is None or self._last[0] != time:
            try:
                self._last = (time, decode(self.frames[time], self.feature))
            except ValueError as error:
                raise CorruptFile(f"{self.source}: {error}") from error
        return self._last[1]


class Album:
    """The compressed pictures of a log that is being read, until an episode takes them.

    Args:
        features: of the pictures, by their keys.
        source: the file, for errors.
    """

    def __init__(self, features: dict[str, Feature], source: str) -> None:
        self.features, self._source = features, source
        self._frames: dict[str, dict[int, bytes]] = {key: {} for key in features}
        self._newest = dict.fromkeys(features, -1)

    def add(self, key: str, times: Iterable[int], pictures: Sequence[bytes]) -> None:
        for time, picture in zip(times, pictures, strict=True):
            self._frames[key][int(time)] = picture
            self._newest[key] = max(self._newest[key], int(time))

    def pictures(self, key: str, shown: np.ndarray) -> Pictures:
        """Pictures (T,) of an episode, not filled yet."""
        return Pictures(self.features[key], shown, self._source)

    def complete(self, found: Iterable[tuple[str, Pictures]]) -> bool:
        """Whether everything was read that belongs to an episode: a recorder writes each camera's pictures in order."""
        return all(self._newest[key] >= pictures.shown.max(initial=-1) for key, pictures in found)

    def fill(self, found: Iterable[tuple[str, Pictures]]) -> None:
        """Give an episode its pictures, and forget those before its end."""
        for key, pictures in found:
            frames, first = self._frames[key], pictures.shown.min(initial=np.iinfo(np.int64).max)
            last = pictures.shown.max(initial=-1)
            pictures.frames |= {time: data for time, data in frames.items() if first <= time <= last}
            self._frames[key] = {time: data for time, data in frames.items() if time >= last}

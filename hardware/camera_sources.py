"""Where pictures come from: devices that OpenCV opens, files that stand in for them, and a drawn test picture."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robo_rl.cameras import Camera
from robo_rl.errors import UserError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
SYNTHETIC = "synthetic"
DEVICES = Path("/dev")
NAMES = Path("/sys/class/video4linux")


class SourceLost(Exception):
    """No picture comes any more; opening the source again may help."""


class Source(ABC):
    """Pictures one after the other, at the rate of whatever makes them."""

    @abstractmethod
    def open(self) -> None:
        """Raises `SourceLost` where there is nothing to open."""

    @abstractmethod
    def read(self) -> tuple[np.ndarray, float]:
        """Wait for the next picture (H', W', 3) uint8, blue green red, and when it was taken [s], monotonic clock.

        Raises `SourceLost`.
        """

    def close(self) -> None:
        """Release the device. May be called twice."""


@dataclass
class Device(Source):
    """A camera, or whatever else OpenCV opens by its path.

    Args:
        path: /dev/video0, or a file or address.
        capture: width, height that is asked for [px].
        rate: frames that are asked for [1/s].
    """

    path: str
    capture: tuple[int, int] = (640, 480)
    rate: float = 30.0
    _device: Any = field(default=None, repr=False)

    def open(self) -> None:
        api = cv2.CAP_V4L2 if Path(self.path).is_char_device() else cv2.CAP_ANY
        self._device = cv2.VideoCapture(self.path, api)
        if not self._device.isOpened():
            self.close()
            raise SourceLost(f"{self.path} cannot be opened; is it plugged in, free, and readable for you?")
        if api == cv2.CAP_V4L2:
            width, height = self.capture
            asked = {
                cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),  # raw pictures would fill a USB 2 bus
                cv2.CAP_PROP_FRAME_WIDTH: width,
                cv2.CAP_PROP_FRAME_HEIGHT: height,
                cv2.CAP_PROP_FPS: self.rate,
                cv2.CAP_PROP_BUFFERSIZE: 1,
            }
            for what, value in asked.items():
                self._device.set(what, float(value))

    def read(self) -> tuple[np.ndarray, float]:
        if not self._device.grab():
            raise SourceLost(f"{self.path} delivers no more pictures")
        stamp = time.monotonic()
        arrived, picture = self._device.retrieve()
        if not arrived:
            raise SourceLost(f"{self.path} delivered a broken picture")
        return picture, stamp

    def close(self) -> None:
        if self._device is not None:
            self._device.release()
            self._device = None


class Played(Source):
    """Pictures that are there already, delivered at a rate [1/s], over and over."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._pictures: Iterator[np.ndarray] = iter(())
        self._due = 0.0

    def open(self) -> None:
        self._pictures, self._due = self._play(), time.monotonic()

    def read(self) -> tuple[np.ndarray, float]:
        time.sleep(max(0.0, self._due - time.monotonic()))
        picture = next(self._pictures)
        stamp, self._due = self._due, self._due + 1 / self.rate
        return picture, stamp

    @abstractmethod
    def _play(self) -> Iterator[np.ndarray]:
        """Pictures without end. Raises `SourceLost`."""


class File(Played):
    """A video, a picture, or a folder of pictures in the order of their names, played in a loop."""

    def __init__(self, path: str, rate: float) -> None:
        super().__init__(rate)
        self.path = Path(path)

    def _play(self) -> Iterator[np.ndarray]:
        while True:
            played = False
            for picture in self._once():
                played = True
                yield picture
            if not played:
                raise SourceLost(f"{self.path} holds no picture")

    def _once(self) -> Iterator[np.ndarray]:
        paths = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        pictures = [path for path in paths if path.suffix.lower() in PICTURES]
        if not pictures and self.path.is_file():
            yield from _frames(self.path)
        for path in pictures:
            if (picture := cv2.imread(str(path))) is not None:
                yield picture


class Synthetic(Played):
    """A drawn picture: three fields of blue, green and red, and the number of the frame as 16 black or white bars."""

    BITS = 16

    def __init__(self, capture: tuple[int, int], rate: float) -> None:
        super().__init__(rate)
        self.capture = capture

    def _play(self) -> Iterator[np.ndarray]:
        width, height = self.capture
        picture = np.zeros((height, width, 3), np.uint8)
        for colour in range(3):
            picture[:, colour * width // 3 : (colour + 1) * width // 3, colour] = 255
        for number in count():
            bits = (number >> np.arange(self.BITS)) & 1
            bars = np.repeat(bits, -(-width // self.BITS))[:width]
            picture[height // 2 :] = (255 * bars)[None, :, None].astype(np.uint8)
            yield picture.copy()


def source_of(text: str, camera: Camera, key: str) -> Source:
    """The source that a user names: a device's path, a file or folder that stands in for it, or "synthetic".

    Raises `UserError` for anything else; `key` is where it was given.
    """
    path = Path(text).expanduser()
    if text == SYNTHETIC:
        return Synthetic(camera.capture, camera.rate)
    if path.is_char_device() or "://" in text:
        return Device(text, camera.capture, camera.rate)
    if path.exists():
        return File(str(path), camera.rate)
    raise UserError(
        f"{key}={text}: no such device, file or folder; give a camera that robo-rl find lists, a video, a folder of "
        f"pictures, or {SYNTHETIC}"
    )


def find_cameras(devices: Path = DEVICES, names: Path = NAMES) -> list[tuple[str, str]]:
    """(path, name) of the cameras of this machine. One camera may have several devices; its first one has pictures."""
    found = []
    for path in sorted(devices.glob("video*"), key=lambda path: (len(path.name), path.name)):
        about = names / path.name
        if _text(about / "index", "0") == "0":
            found.append((str(path), _text(about / "name", "unnamed")))
    return found


def _frames(path: Path) -> Iterator[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    try:
        while (frame := video.read())[0]:
            yield frame[1]
    finally:
        video.release()


def _text(path: Path, otherwise: str) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return otherwise

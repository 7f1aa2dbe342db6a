"""What a calibration says of one camera: how directions become pixels, and where it stands.

Both are JSON files:

    {"format": 1, "camera": "front", "size": [1280, 720], "matrix": [[...], [...], [...]], "distortion": [...],
     "error": 0.21}
    {"format": 1, "robot": "so101", "camera": "front", "pose": [x, y, z, qw, qx, qy, qz], "error": [0.001, 0.004]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robo_rl.errors import CorruptFile, UserError

FORMAT = 1
DICTIONARY = "DICT_4X4_50"
MIN_VIEWS = 8
MIN_CORNERS = 8  # of the board in a view
NEW_VIEW = 0.05  # of the picture's width, that the board must have moved by to be another view


@dataclass(frozen=True)
class Lens:
    """A camera's own numbers: width, height [px], matrix (3, 3) [px], distortion (K,) as OpenCV has it."""

    camera: str
    size: tuple[int, int]
    matrix: tuple[tuple[float, ...], ...]
    distortion: tuple[float, ...] = (0.0,) * 5
    error: float = 0.0  # [px] of the calibration, root mean square

    def save(self, path: Path) -> None:
        _save(path, asdict(self))

    @classmethod
    def load(cls, path: Path, key: str) -> Lens:
        """Raises `UserError` that names the `key` that led to the file."""
        hint = "calibrate the camera first: robo-rl calibrate camera=NAME"
        return _load(path, key, hint, lambda data: cls(**_known(data, cls)))

    def project(self, points: np.ndarray, turn: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Points (K, 3) [m] of a body turned by a rotation vector (3,) and moved by (3,) [m] -> pixels (K, 2)."""
        pixels, _ = cv2.projectPoints(points, turn, shift, np.array(self.matrix), np.array(self.distortion))
        return pixels.reshape(-1, 2)


@dataclass(frozen=True)
class Stand:
    """Where a camera stands: its pose (7,) in the robot's base frame, x y z [m], unit quaternion w x y z."""

    robot: str
    camera: str
    pose: tuple[float, ...]
    error: tuple[float, float] = (0.0, 0.0)  # [m], [rad] of the calibration, root mean square

    def save(self, path: Path) -> None:
        _save(path, asdict(self))

    @classmethod
    def load(cls, path: Path, robot: str, key: str) -> Stand:
        """Raises `UserError` that names the `key` that led to the file."""
        hint = "find out where the camera stands first: robo-rl calibrate hand_eye=NAME"
        found = _load(path, key, hint, lambda data: cls(**_known(data, cls)))
        if found.robot != robot or len(found.pose) != 7:
            raise UserError(f"{key}={path}: is of robot={found.robot}, this is robot={robot}")
        return found


@dataclass(frozen=True)
class Board:
    """A printed ChArUco board that stays flat."""

    squares: tuple[int, int] = (7, 5)
    square: float = 0.03  # [m]
    marker: float = 0.022  # [m]
    dictionary: str = DICTIONARY

    def made(self) -> Any:
        """As OpenCV has it."""
        return cv2.aruco.CharucoBoard(tuple(self.squares), self.square, self.marker, dictionary(self.dictionary))


class LensFinder:
    """Collects views of a board, pictures in which it lies elsewhere than in those before, and finds the lens."""

    def __init__(self, camera: str, board: Board, wanted: int = 20) -> None:
        self.camera, self.wanted = camera, wanted
        self._board = board.made()
        self._detector = cv2.aruco.CharucoDetector(self._board)
        self._views: list[tuple[np.ndarray, np.ndarray]] = []  # object points (K, 3) [m], pixels (K, 2)
        self._places: list[np.ndarray] = []
        self._size = (0, 0)

    @property
    def views(self) -> int:
        return len(self._views)

    def look(self, picture: np.ndarray) -> bool:
        """Whether the picture (H, W, 3) is a new view."""
        height, width = picture.shape[:2]
        corners, ids, *_ = self._detector.detectBoard(picture)
        if ids is None or len(ids) < MIN_CORNERS or (self._size not in ((0, 0), (width, height))):
            return False
        points, pixels = self._board.matchImagePoints(corners, ids)
        place = np.concatenate([pixels.reshape(-1, 2).mean(axis=0), np.ptp(pixels.reshape(-1, 2), axis=0)])
        if any(np.abs(place - other).max() < NEW_VIEW * width for other in self._places):
            return False
        self._size = (width, height)
        self._places.append(place)
        self._views.append((points.reshape(-1, 3).astype(np.float32), pixels.reshape(-1, 2).astype(np.float32)))
        return True

    def solve(self) -> Lens:
        """Raises `UserError` when there are too few views."""
        if self.views < MIN_VIEWS:
            raise UserError(
                f"camera={self.camera}: {self.views} views of the board, {MIN_VIEWS} are needed; show it all over the "
                "picture, near and far, tilted"
            )
        points, pixels = ([view[part] for view in self._views] for part in (0, 1))
        error, matrix, distortion, *_ = cv2.calibrateCamera(points, pixels, self._size, np.eye(3), np.zeros(5))
        rows = tuple(tuple(map(float, row)) for row in matrix)
        return Lens(self.camera, self._size, rows, tuple(map(float, distortion.ravel())), float(error))


def dictionary(name: str) -> Any:
    """One of OpenCV's marker dictionaries. Raises `UserError` where there is none of that name."""
    number = getattr(cv2.aruco, name, None)
    if not name.startswith("DICT_") or number is None:
        raise UserError(f"dictionary={name}: unknown; one of OpenCV's, e.g. {DICTIONARY}, DICT_APRILTAG_36h11")
    return cv2.aruco.getPredefinedDictionary(number)


def _save(path: Path, data: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps({"format": FORMAT, **data}, indent=1) + "\n")
    os.replace(fresh, path)


def _load(path: Path, key: str, hint: str, make: Callable[[dict[str, Any]], Any]) -> Any:
    try:
        data = json.loads(path.read_text())
        if data.pop("format") != FORMAT:
            raise CorruptFile(f"{key}={path}: written by another version; calibrate again")
        return make(data)
    except FileNotFoundError:
        raise UserError(f"{key}={path}: no such file; {hint}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{key}={path}: not a calibration: {error}") from error


def _known(data: dict[str, Any], kind: Any) -> dict[str, Any]:
    """The file's lists as tuples; numbers that are none are refused."""
    fields: Sequence[str] = kind.__dataclass_fields__
    if set(data) - set(fields):
        raise ValueError(f"unknown keys {sorted(set(data) - set(fields))}")
    frozen = {key: _frozen(value) for key, value in data.items()}
    for key in set(frozen) - {"robot", "camera"}:
        if not np.isfinite(np.asarray(frozen[key], np.float64)).all():
            raise ValueError(f"{key} is not finite")
    if "matrix" in frozen and np.shape(frozen["matrix"]) != (3, 3):
        raise ValueError("matrix is not 3 by 3")
    return frozen


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value

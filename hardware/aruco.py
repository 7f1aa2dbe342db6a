"""Objects with ArUco markers, found in pictures of a camera that stands still: the simulated tracker's counterpart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from hardware.corners import refine
from hardware.lens import DICTIONARY, Lens, dictionary
from hardware.poses import matrix_of, pose_of, rigid
from robo_rl.errors import UserError
from robo_rl.spec import Spec
from robo_rl.tracking import IDENTITY, tracker_spec

MAX_ERROR = 2.0  # [px] root mean square; more than that is no marker of this object
ALIKE = 2.0  # ratio of two solutions' errors up to which the one nearer to the last pose is taken


@dataclass(frozen=True)
class Marker:
    """A square marker glued to an object. Its frame has its origin in the middle, x to the right and y up of the
    printed picture, z towards whoever looks at it."""

    id: int
    size: float  # [m] of the black square
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # [m], in the object's frame
    quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # w x y z

    @property
    def corners(self) -> np.ndarray:
        """(4, 3) [m] in the object's frame, in the order in which OpenCV finds them."""
        square = self.size / 2 * np.array([[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]], np.float64)
        frame = matrix_of((*self.position, *self.quaternion))
        return square @ frame[:3, :3].T + frame[:3, 3]


class MarkerTracker:
    """Poses of objects in the robot's base frame, from pictures.

    One marker seen from the front has two poses that explain its picture almost equally well; where neither is clearly
    better, the one nearer to the object's last pose is taken. Several markers an object, on different faces, have no
    such doubt.

    Args:
        objects: name -> its markers.
        lens: of the camera.
        stand: pose (7,) of the camera in the base frame.
        dictionary: of the markers.

    Raises:
        UserError: two objects have the same marker, or there is no such dictionary.
    """

    def __init__(
        self,
        objects: Mapping[str, Sequence[Marker]],
        lens: Lens,
        stand: Sequence[float] = IDENTITY,
        dictionary: str = DICTIONARY,
    ) -> None:
        self.names, self.lens, self.dictionary = tuple(objects), lens, dictionary
        self.obs_spec: Spec = tracker_spec(self.names)
        self._stand = matrix_of(stand)
        self._corners = {name: {marker.id: marker.corners for marker in markers} for name, markers in objects.items()}
        ids = [marker.id for markers in objects.values() for marker in markers]
        if len(set(ids)) != len(ids):
            raise UserError(f"tracker: markers {sorted(ids)}: each id may be used once")
        self._matrix, self._distortion = np.array(lens.matrix), np.array(lens.distortion)
        self._last: dict[str, np.ndarray] = {}
        self._detector: Any = None

    def look(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """Poses (7,) float32 of the objects that are seen in a picture (H, W, 3) or (H, W) uint8.

        Raises `UserError` where the picture has another size than the lens was calibrated at.
        """
        height, width = picture.shape[:2]
        if (width, height) != tuple(self.lens.size):
            raise UserError(
                f"camera {self.lens.camera}: pictures of {width} x {height}, its calibration is for "
                f"{self.lens.size[0]} x {self.lens.size[1]}"
            )
        seen = self._seen(picture)
        found = {}
        for name, corners in self._corners.items():
            ids = [number for number in corners if number in seen]
            if ids and (pose := self._solve(name, *_stacked(ids, corners, seen))) is not None:
                self._last[name] = pose
                found[name] = pose_of(self._stand @ pose).astype(np.float32)
        return found

    def _seen(self, picture: np.ndarray) -> dict[int, np.ndarray]:
        """Pixels (4, 2) of the corners of every marker."""
        if self._detector is None:  # made where it is used: it cannot travel to another process
            self._detector = cv2.aruco.ArucoDetector(dictionary(self.dictionary), cv2.aruco.DetectorParameters())
        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        corners, ids, _ = self._detector.detectMarkers(grey)
        numbers = [] if ids is None else ids.ravel().tolist()
        return {number: refine(grey, found.reshape(4, 2)) for number, found in zip(numbers, corners, strict=True)}

    def _solve(self, name: str, points: np.ndarray, pixels: np.ndarray) -> np.ndarray | None:
        """Pose (4, 4) in the camera's frame; None where nothing explains the pixels."""
        ranked = sorted(self._candidates(points, pixels), key=lambda each: each[0])
        ranked = [each for each in ranked if each[0] <= MAX_ERROR]
        if not ranked:
            return None
        last = self._last.get(name)
        alike = [pose for error, pose in ranked if error <= ALIKE * ranked[0][0]]
        if last is None or len(alike) == 1:
            return alike[0]
        return min(alike, key=lambda pose: float(np.linalg.norm(pose[:3, :3] - last[:3, :3])))

    def _candidates(self, points: np.ndarray, pixels: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
        """Refined solutions: error [px], pose (4, 4)."""
        flat = np.linalg.matrix_rank(points - points.mean(axis=0), tol=1e-6) < 3
        how = cv2.SOLVEPNP_IPPE if flat else cv2.SOLVEPNP_SQPNP
        lens = (self._matrix, self._distortion)
        count, turns, shifts, _ = cv2.solvePnPGeneric(points, pixels, *lens, flags=how)
        for rough in zip(turns[:count], shifts[:count], strict=True):
            turn, shift = cv2.solvePnPRefineLM(points, pixels, *lens, *rough)
            away = self.lens.project(points, turn, shift) - pixels
            yield float(np.sqrt((away**2).sum(axis=1).mean())), rigid(turn, shift)


def _stacked(
    ids: Sequence[int], corners: Mapping[int, np.ndarray], seen: Mapping[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    points, pixels = (np.concatenate([found[number] for number in ids]) for found in (corners, seen))
    return points, pixels

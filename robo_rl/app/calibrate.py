"""`robo-rl calibrate`: which tick of which servo is which joint angle, found with a person who moves the arm; and what
there is to know of a camera beside it."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

from robo_rl.app import session
from robo_rl.app.build import description_path, offer
from robo_rl.app.calibrate_camera import calibrate_lens, calibrate_stand
from robo_rl.errors import UserError
from robo_rl.robot import RobotDescription


def main(config: DictConfig) -> None:
    """Calibrate and save, replacing an earlier file of this arm or camera."""
    if config.camera is not None and config.hand_eye is not None:
        raise UserError("camera=, hand_eye=: give one of the two; the lens comes first")
    rows = next((find(config) for key, find in CAMERAS.items() if config[key] is not None), None)
    session.show(f"calibrate {config.robot.name}", _arm(config) if rows is None else rows)


def _arm(config: DictConfig) -> list[tuple[str, Any]]:
    if "calibrate" not in config.robot:
        raise UserError(f"robot={config.robot.name}: has nothing to calibrate; try robot=so101 robot.bus=/dev/ttyACM0")
    description = RobotDescription.load(description_path(config.robot.description))
    return offer(config.robot.calibrate, description=description, person=Terminal())


CAMERAS = {"camera": calibrate_lens, "hand_eye": calibrate_stand}


class Terminal:
    """The person in front of this terminal. Raises `UserError` when there is none."""

    def confirm(self, text: str) -> None:
        for _ in self.meanwhile(text):
            select.select([sys.stdin], [], [])

    def meanwhile(self, text: str) -> Iterator[None]:
        """Yield until a line is entered."""
        print(f"{text} Then press Enter.", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            yield
        if not sys.stdin.readline():
            raise UserError("calibrate: standard input has ended; run it in a terminal")

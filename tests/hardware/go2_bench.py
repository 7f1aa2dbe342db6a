"""An emulated Go2 and its driver, for tests."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hardware.driven import DrivenRobot
from hardware.driver import DriverSettings
from hardware.emulators.emulated_go2 import EmulatedGo2, random_domain
from hardware.emulators.go2_records import Go2Settings
from hardware.go2 import Go2
from hardware.guard import Guard
from robo_rl.robot import RobotDescription

GO2 = Path(__file__).parents[2] / "configs" / "description" / "go2.yaml"
DT = 0.002  # [s] of the low level
CALM = DriverSettings(rate=500.0, watchdog=20.0, patience=20.0)  # a busy machine is no fault
SETTINGS = Go2Settings(0, timeout=0.5)  # [s]


@functools.cache
def robot() -> RobotDescription:
    return RobotDescription.load(GO2)


def home() -> np.ndarray:
    """The home pose as an action (1, 12)."""
    return robot().array("home").astype(np.float32)[None]


def power_on(**changes: Any) -> EmulatedGo2:
    """An emulated robot in a domain of its own."""
    return EmulatedGo2(robot(), settings=replace(SETTINGS, domain=random_domain(), **changes))


def legs(emulator: EmulatedGo2, dt: float = DT, **options: Any) -> Go2:
    """Its driver, in this process, at a period [s]."""
    options = {"max_silence": 20.0, "farewell": 0.01, "guard": Guard(robot(), 1, dt)} | options
    return Go2(robot(), emulator.settings.interface, emulator.settings.domain, **options)


def driven(emulator: EmulatedGo2, settings: DriverSettings = CALM, **options: Any) -> DrivenRobot:
    """Its driver, in a process of its own."""
    return DrivenRobot(legs(emulator, robot().dt, **options), settings)

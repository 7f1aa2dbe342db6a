"""`robo-rl home`: a robot at its home pose; the first motion of a new arm."""

from __future__ import annotations

import numpy as np
from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.build import make_rig
from robo_rl.app.pacing import driver_rows
from robo_rl.errors import UserError
from robo_rl.robot import Rig

EVERYONE = np.ones(1, bool)


def main(config: DictConfig) -> None:
    """Ramp home, print joint positions; raise `UserError` on a fault or when home is not reached."""
    out = runs.made_folder(config.out)
    rig = make_rig(config.task, config.robot, 1, realtime=True)
    try:
        ticks = go_home(rig, round(float(config.seconds) / rig.dt), config.robot.name)
        obs, _ = rig.read()
        drivers = driver_rows(getattr(rig, "drivers", {}))
    finally:
        rig.close()
    position = dict(zip(rig.obs_spec["joint_position"].names, obs["joint_position"][0].tolist(), strict=True))
    shown = [(name, f"{value:.3f} rad") for name, value in position.items()]
    session.show(f"home {config.robot.name}", [("seconds", round(ticks * rig.dt, 1)), *shown, *drivers])
    if out is not None:
        result = {"robot": config.robot.name, "seconds": ticks * rig.dt, "joint_position": position}
        runs.write_json(out / "result.json", result)


def go_home(rig: Rig, limit: int, name: str) -> int:
    """Ticks it took; at most `limit`."""
    with session.interruption() as interrupted:
        for tick in range(limit):
            if rig.home(EVERYONE, np.zeros(1, np.int64)).all():
                return tick
            if interrupted():
                raise KeyboardInterrupt
            rig.tick(~EVERYONE)
            rig.read()
            if text := "; ".join(filter(None, rig.messages)):
                raise UserError(f"robot={name}: a fault stopped the way home: {text}")
    raise UserError(f"robot={name}: not home after {limit * rig.dt:.1f} s; is something in its way? Or give seconds=")

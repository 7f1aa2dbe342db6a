"""`robo-rl reset`: a robot that stands still after a fault may move again, after it was said what the fault was."""

from __future__ import annotations

from omegaconf import DictConfig

from hardware.device import GuardedRobot
from robo_rl.app import runs, session
from robo_rl.app.build import make_rig
from robo_rl.errors import UserError


def main(config: DictConfig) -> None:
    """Show latched faults and what the devices hold; clear both. Moves nothing."""
    out = runs.made_folder(config.out)
    rig = make_rig(config.task, config.robot, 1, realtime=True)
    try:
        robots = [robot for robot in getattr(rig, "robots", ()) if isinstance(robot, GuardedRobot) and robot.latch]
        if not robots:
            raise UserError(f"robot={config.robot.name}: keeps no fault beyond a run; give a robot with its bus")
        found = {_name(robot): _clear(robot) for robot in robots}
    finally:
        rig.close()
    rows = [(name, text) for name, texts in found.items() for text in texts or ["no fault was latched"]]
    session.show(f"reset {config.robot.name}", rows)
    if out is not None:
        runs.write_json(out / "result.json", {"cleared": found})


def _name(robot: GuardedRobot) -> str:
    return robot.description.prefix + robot.description.name


def _clear(robot: GuardedRobot) -> list[str]:
    """What was latched, in words; the device comes first, for a robot that cannot be reached keeps its fault."""
    assert robot.latch is not None
    held, reason = robot.recover(), robot.latch.reason
    robot.latch.clear()
    return [*([f"fault: {reason}"] if reason else []), *held]

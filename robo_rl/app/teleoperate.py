"""`robo-rl teleoperate`: a person moves a robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from policies.override import Hold
from robo_rl.app import runs, session
from robo_rl.app.build import make_rig
from robo_rl.app.pacing import Rate, paced, report, undisturbed
from robo_rl.app.teleop import shared
from robo_rl.env import RigEnv
from robo_rl.errors import UserError
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.spec import Spec
from robo_rl.task import Task, Verdict
from robo_rl.types import Obs, Reason, Step

LONGEST = 24 * 3600.0  # [s]


class Free(Task):
    """Nothing to do."""

    name = "free"
    obs_spec = Spec({})
    limit = LONGEST

    def begin(self, where: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return where

    def judge(self, obs: Obs, applied: np.ndarray) -> Verdict:
        n = len(applied)
        return Verdict(np.zeros(n, np.float32), np.zeros(n, bool), np.full(n, -1, np.int8), np.zeros(n, np.uint8))


def main(config: DictConfig) -> None:
    """Until Ctrl-C, `seconds`, or a fault, which is a `UserError`."""
    rig = make_rig(config.task, config.robot, 1, realtime=True)
    env, deadline = paced(RigEnv(rig, Free()))
    rate, limit = Rate(), float(config.seconds) or float("inf")

    def over(step: Step) -> bool:
        return rate.seconds >= limit or bool((rig.condition != Reason.RUNNING).all())

    try:
        with shared(config, env, Hold(), begins=True) as acting, undisturbed(config.priority):
            out = None if config.out is None else runs.new_folder(config, "teleoperate")
            watching = (rate, *acting.observers)
            session.rollout(
                config, env, acting.policy, Seeds(seed_of(Role.REPORT, 0), 1), out, "teleoperate", over, watching
            )
        fault = "; ".join(filter(None, rig.messages))
    finally:
        env.close()
    result = report(rate, deadline) | acting.summary
    if out is not None:
        runs.write_json(Path(out) / "result.json", result)
    shown = [(key, result[key]) for key in ("ticks", "rate_hz", "deadline_misses", "intervention_share")]
    session.show(f"teleoperate {config.robot.name}", shown)
    if fault:
        raise UserError(f"robot={config.robot.name}: a fault ended it: {fault}")

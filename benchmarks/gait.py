"""`python -m benchmarks gait [run=FOLDER] [episodes=100] [seconds=60]`: the Go2 stands, trots and follows commands.

Long episodes of go2/joystick, with the scripted gait and with a cloned policy of it (`run=`, by default the one that
`python -m benchmarks.tasks` trained): success, falls, the share of ticks tracked, and how far the low-pass filtered
velocity of the trunk is from the command, on ticks that count. Writes build/gait.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import number, require_used
from benchmarks.rows import measured_on
from robo_rl.app.build import make_env, make_expert
from robo_rl.app.compose import compose
from robo_rl.app.runs import load_policy, write_json
from robo_rl.app.session import show
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.policy import Policy
from robo_rl.seeds import Role, seed_of
from robo_rl.types import Action, Step
from sim.tasks.joystick import Joystick

CLONE = Path("build/tasks/go2_joystick/clone")
ROWS = 50  # episodes at a time


class Following:
    """Observer that collects how far rows are from their commands on ticks that count."""

    def __init__(self, task: Joystick) -> None:
        self.task = task
        self._errors: list[np.ndarray] = []  # (K, 4): speed [m/s], turn [rad/s], told to stand, tracked

    def __call__(self, step: Step, action: Action) -> None:
        task, c = self.task, self.task.config
        second = (task.world.tick * task.world.dt) % c.period
        counts = step.live & ~step.first & (second >= c.grace - 1e-9)
        command = task.command()
        away = task.velocity - command
        speed, turn = np.hypot(away[:, 0], away[:, 1]), np.abs(away[:, 2])
        tracked = (speed < c.near[0]) & (turn < c.near[1])
        self._errors.append(np.stack([speed, turn, ~command.any(axis=1), tracked], axis=1)[counts])

    def summary(self) -> dict[str, float]:
        """Medians of the errors while told to stand and to move, and the share of ticks tracked."""
        errors = np.concatenate(self._errors)
        found = {"tracked_share": float(errors[:, 3].mean())}
        for name, chosen in (("standing", errors[:, 2] == 1), ("moving", errors[:, 2] == 0)):
            speed, turn = np.median(errors[chosen, :2], axis=0)
            found |= {f"{name}_speed_error": float(speed), f"{name}_turn_error": float(turn)}
        return found


def walk(env: Any, policy: Policy, name: str, episodes: int) -> dict[str, Any]:
    """What a policy does on the report's seeds."""
    following = Following(env.task)
    outcomes = evaluate(env, policy, seed_of(Role.REPORT), episodes, (following,))
    result = outcomes.summary(env.task.name, name, 0)
    falls = sum(row["reason"] == "failure" for row in outcomes.rows)
    keys = ("run", "episodes", "success_rate", "ci_low", "ci_high", "episode_length_mean")
    return {key: result[key] for key in keys} | {"falls": falls} | following.summary()


def main(keys: dict[str, str], root: Path) -> int:
    """0, or 1 where a policy succeeds in fewer than 95 % of its episodes."""
    episodes, seconds = (number(keys, *pair) for pair in (("episodes", 100), ("seconds", 60)))
    run = keys.pop("run", CLONE)
    require_used(keys, "episodes", "run", "seconds")
    if not Path(run).is_dir():
        raise UserError(f"run={run}: no such folder; python -m benchmarks.tasks task=go2/joystick makes one")
    config = compose("evaluate", ["task=go2/joystick", f"run={run}", f"task.task.config.limit={seconds}"])
    env, bundle = make_env(config.task, config.robot, min(ROWS, int(episodes))), load_policy(config, "gait")
    bundle.require(env.obs_spec, env.act_spec, "task=go2/joystick")
    policies = {"scripted": make_expert(config.task, config.robot, env), str(run): bundle.policy_for("base")}
    found = [walk(env, policy, name, int(episodes)) for name, policy in policies.items()]
    env.close()
    write_json(root / "gait.json", {"machine": measured_on(), "seconds": seconds, "policies": found})
    for row in found:
        show(f"gait: {row['run']}", [(key, value) for key, value in row.items() if key != "run"])
    return int(any(row["success_rate"] < 0.95 for row in found))

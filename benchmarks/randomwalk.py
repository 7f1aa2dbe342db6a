"""`python -m benchmarks randomwalk [episodes=1000] [task=NAME]`: random actions break no task.

Setpoints are drawn anywhere in their bounds at every tick. Checked at every step: finite observations and rewards, no
diverged row, setpoints within bounds, true joint positions within their limits but for a tolerance (limits give way);
at every reset: the robot at its home pose, and the bodies where the task's config says they begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from benchmarks.rows import measured_on
from benchmarks.tasks import names
from benchmarks.uniform import Uniform
from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.app.runs import write_json
from robo_rl.errors import UnknownName
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.seeds import Role, seed_of
from robo_rl.types import NO_SEED, PRIVILEGED, Action, Reason, Step
from sim.poses import yaw_of
from sim.tasks.table_top import Place

ROWS = 50  # episodes at a time
TOLERANCE = 0.05  # past a joint's limit [rad]
HOME = 0.02  # from the home pose at a reset [rad]


class Watch:
    """Observer that counts what must not happen.

    Attributes:
        broken: how often each thing happened, and the steps and resets that were looked at.
        excess: largest distance past a joint's limit [rad].
    """

    def __init__(self, env: Any) -> None:
        self.env, self.excess = env, 0.0
        checks = ("not finite", "diverged", "setpoints", "joint limits", "home", "places")
        self.broken: dict[str, int] = dict.fromkeys(checks, 0)
        self.steps = self.resets = 0
        robots = [robot.description for robot in env.rig.robots]
        joints = [env.rig.world.model.joint(name) for robot in robots for name in robot.names]
        self._joints = [int(joint.qposadr[0]) for joint in joints]
        self._low, self._high, self._home = (
            np.concatenate([robot.array(field) for robot in robots]) for field in ("low", "high", "home")
        )
        config = getattr(env.task, "config", None)
        self._places: Mapping[str, Place] = config.places() if hasattr(config, "places") else {}

    def __call__(self, step: Step, action: Action) -> None:
        seen = step.seed != NO_SEED
        position = self.env.rig.world.qpos[:, self._joints]
        excess = np.maximum(self._low - position, position - self._high).max(axis=1)[seen]
        self.excess = max(self.excess, float(excess.max(initial=0.0)))
        spec = self.env.act_spec
        outside = ((step.applied < spec.low - 1e-6) | (step.applied > spec.high + 1e-6)).any(axis=1)
        self._count("setpoints", outside & seen & ~step.first)
        self._count("joint limits", ~(excess <= TOLERANCE))
        self._count("diverged", (step.reason == Reason.DIVERGED) & seen)
        for value in (*step.obs.values(), step.reward, position):
            self._count("not finite", ~np.isfinite(value.reshape(step.n, -1)).all(axis=1) & seen)
        self.steps += int(seen.sum())
        if step.first.any():
            self._reset(step, position)

    def _reset(self, step: Step, position: np.ndarray) -> None:
        first = step.first
        self.resets += int(first.sum())
        self._count("home", (np.abs(position - self._home).max(axis=1) > HOME) & first)
        for body, place in self._places.items():
            self._count("places", ~declared(place, step.obs[f"{PRIVILEGED}{body}_pose"]) & first)

    def _count(self, what: str, rows: np.ndarray) -> None:
        self.broken[what] += int(rows.sum())


def declared(place: Place, pose: np.ndarray) -> np.ndarray:
    """(N,) bool: poses (N, 7) that lie in a place, as far as float32 tells."""
    away = np.abs(pose[:, :2] - place.centre) <= np.array(place.region) / 2 + 1e-6
    turned = np.abs(np.mod(yaw_of(pose[:, 3:]) - place.heading + np.pi, 2 * np.pi) - np.pi) <= place.yaw + 1e-5
    return away.all(axis=1) & turned & (np.abs(pose[:, 2] - place.height) <= 1e-6)


def walk(task: str, episodes: int, *changes: str) -> dict[str, Any]:
    """What happened in random episodes of a task."""
    config = compose("evaluate", [f"task={task}", *changes])
    env = make_env(config.task, config.robot, min(ROWS, episodes), nthread=1)
    watch = Watch(env)
    try:
        outcomes = evaluate(env, Uniform(env.n, env.act_spec), seed_of(Role.TUNE), episodes, (watch,))
    finally:
        env.close()
    found = {"task": task, "episodes": len(outcomes.rows), "steps": watch.steps, "resets": watch.resets}
    successes = sum(bool(row["success"]) for row in outcomes.rows)
    return found | {"successes": successes, "joint_excess_rad": watch.excess, "broken": watch.broken}


def main(keys: dict[str, str], root: Path) -> int:
    """0, or 1 where something happened that must not."""
    episodes, chosen = int(number(keys, "episodes", 1000)), keys.pop("task", None)
    require_used(keys, "episodes", "task")
    if chosen is not None and chosen not in names():
        raise UnknownName("task", chosen, names())
    results = [walk(task, episodes) for task in ([chosen] if chosen else names())]
    write_json(root / "randomwalk.json", {"machine": measured_on(), "tolerance_rad": TOLERANCE, "tasks": results})
    table = Table(title="random actions", title_justify="left")
    for column in ("task", "episodes", "steps", "successes", "past a limit [rad]", "broken"):
        table.add_column(column)
    for row in results:
        broken = ", ".join(f"{name} {count}" for name, count in row["broken"].items() if count) or "nothing"
        shown = (row["task"], row["episodes"], row["steps"], row["successes"], f"{row['joint_excess_rad']:.4f}", broken)
        table.add_row(*map(str, shown))
    Console().print(table)
    return int(any(count for row in results for count in row["broken"].values()))

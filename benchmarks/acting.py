"""One row of the default task under an untrained policy of the default size, every tick timed and recorded.

`python -m benchmarks.acting ticks rate file` writes what it measured to the file: a process of its own, as `deploy` is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import untrained
from robo_rl.app.deploy import warm_up
from robo_rl.app.pacing import undisturbed
from robo_rl.app.runs import write_json
from robo_rl.clock import Deadline
from robo_rl.env import RigEnv
from robo_rl.log.recorder import Recorder
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.types import Action, Kind, Step


class Stopwatch:
    """Times of a tick: physics and waiting done, command written, observers done [ns]."""

    def __init__(self, env: RigEnv, rate: float) -> None:
        self.age: list[int] = []  # of the observation when the command was written
        self.total: list[int] = []  # everything outside physics
        self._deadline, self._captured, self._written = Deadline(1.0 / rate), 0, 0
        tick, send = env.rig.tick, env.send
        env.rig.tick = lambda live: self._tick(tick, live)
        env.send = lambda action: self._send(send, action)

    def _tick(self, tick: Callable[[np.ndarray], None], live: np.ndarray) -> None:
        tick(live)
        self._deadline.wait()
        self._captured = time.perf_counter_ns()

    def _send(self, send: Callable[[np.ndarray], None], action: np.ndarray) -> None:
        send(action)
        self._written = time.perf_counter_ns()

    def __call__(self, step: Step, action: Action) -> None:
        """The last observer. The tick in which an episode begins also resets the simulation: it is left out."""
        if step.kind[0] in (Kind.MID, Kind.LAST):
            self.age.append(self._written - self._captured)
            self.total.append(time.perf_counter_ns() - self._captured)


def act(ticks: int, rate: float) -> dict[str, Any]:
    """Run `ticks` ticks at `rate` [Hz]; tick times and ages of the observation [us]."""
    torch.set_num_threads(1)  # as deploy does
    env, policy = untrained.task_env(1), untrained.make_bundle().policy_for("residual")
    try:
        watch = Stopwatch(env, rate)
        warm_up(policy, env)
        _record(env, policy, watch, ticks)
    finally:
        env.close()
    return {name: (np.array(getattr(watch, name)) / 1e3).tolist() for name in ("age", "total")}


def _record(env: RigEnv, policy: Policy, watch: Stopwatch, ticks: int) -> None:
    specs, seeds = (env.obs_spec, env.act_spec, policy.extra_spec), Seeds(seed_of(Role.REPORT))
    about = {"name": "tick"}
    with (
        tempfile.TemporaryDirectory() as folder,
        undisturbed(),
        Recorder(folder, *specs, about, env.dt, messages=lambda: env.rig.messages) as record,
    ):
        run(env, policy, lambda _: len(watch.total) >= ticks, seeds, (record, watch))


if __name__ == "__main__":
    write_json(Path(sys.argv[3]), act(int(sys.argv[1]), float(sys.argv[2])))

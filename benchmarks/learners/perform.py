"""Perform one run with the commands that a user would type."""

from __future__ import annotations

import resource
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.command import HERE, alone, step
from benchmarks.learners.plan import Run
from benchmarks.metaworld import run as metaworld
from robo_rl.evaluate.machine import describe_machine
from robo_rl.evaluate.statistics import paired_by_seed

ONE_CORE = ("threads=1",)


class Place:
    """Where a run's commands work: program, environment variables and the keys of its task."""

    def __init__(self, task: str, venv: Path) -> None:
        self.limits = {"OMP_NUM_THREADS": "1"}
        if "/" in task:
            self.program, self.task = HERE, [f"task={task}"]
            self.record, self.again, self.rows = self.task, [], []
        else:
            self.program = (str(metaworld.install(venv.absolute())),)
            self.limits |= metaworld.ENV
            self.task, self.record = metaworld.task_keys(task), metaworld.expert_keys(task)
            self.again, self.rows = self.task[1:2], ["learner.eval_rows=32"]

    def step(self, folder: Path, *arguments: str) -> dict[str, Any]:
        """The result of a command; see `benchmarks.command.step`."""
        return step(folder, *arguments, program=self.program, env=self.limits)


def perform(run: Run, root: Path, venv: Path) -> dict[str, Any]:
    """Demonstrations and base (shared by all methods), training, evaluations on the report's seeds: the row."""
    place, seed = Place(run.task, venv), f"seed={run.seed}"
    given = root / "bases" / f"{run.task.replace('/', '_')}-{run.demonstrations}-{run.seed}"
    dataset, base, folder = given / "dataset", given / "base", root / run.key
    rows = ["learner.rows=32"] if place.rows else []
    with alone(given.with_suffix(".lock"), wait=True):
        place.step(dataset, "record", *place.record, f"episodes={run.demonstrations}", seed)
        place.step(base, "train", "learner=bc", *place.task, f"dataset={dataset}", seed, *rows, *ONE_CORE)
    budget = f"learner.online.steps={run.steps}"
    keys = (*run.keys, *place.task, *place.rows, f"base={base}", seed, budget, *ONE_CORE)
    trained = place.step(folder / "run", "train", *keys)
    report = [*place.again, f"episodes={run.episodes}", "record=false", "n=50" if "/" in run.task else "n=32"]
    with alone(given.with_suffix(".lock"), wait=True):
        before = place.step(given / f"report-{run.episodes}", "evaluate", f"run={base}", *report)
    after = place.step(folder / "report", "evaluate", f"run={folder / 'run'}", *report)
    raw = place.step(folder / "report_raw", "evaluate", f"run={folder / 'run' / 'policy_raw'}", *report)
    return _row(run, trained, before, after, raw)


def _row(run: Run, trained: dict[str, Any], before: dict[str, Any], after: dict[str, Any], raw: dict[str, Any]) -> dict:
    columns = ("env_steps", "updates", "success", "noisy_success", "wall_clock_s", "cpu_s")
    return {
        "task": run.task, "method": run.method, "seed": run.seed, "utd": trained["utd"],
        "env_steps": trained["env_steps_trained"], "updates": trained["updates"],
        "base_success": before["success_rate"], "raw_final_success": raw["success_rate"],
        "success_rate": after["success_rate"], "ci_low": after["ci_low"], "ci_high": after["ci_high"],
        "paired_difference": paired_by_seed(before["rows"], after["rows"]).to_json(),
        "episode_length_mean": after["episode_length_mean"], "base_episode_length_mean": before["episode_length_mean"],
        "dithered": trained["dithered"], "noisy_success_rate": trained["noisy_success_rate"],
        "tuning_success": trained["raw_final_success"],
        "episodes": run.episodes, "promoted": trained["promoted"], "gate": trained["gate"],
        "steps_to_95": trained["steps_to_95"], "wall_clock_to_95_s": trained["wall_clock_to_95_s"],
        "cpu_to_95_s": trained["cpu_to_95_s"], "wall_clock_s": trained["wall_clock_s"], "cpu_s": trained["cpu_s"],
        "keys": list(run.keys), "demonstrations": run.demonstrations, "steps": run.steps,
        "curve": [{key: record.get(key) for key in columns} for record in trained["history"]],
        "warnings": trained["warnings"], "version": _version(), "machine": describe_machine(),
        "written": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def _version() -> str:
    """Commit of the code, with a "+" where it was changed."""
    try:
        found = ["git", "describe", "--always", "--dirty=+"]
        return subprocess.check_output(found, text=True, stderr=subprocess.DEVNULL, cwd=metaworld.ROOT).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def spent_s() -> float:
    """Processor seconds of this process's children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

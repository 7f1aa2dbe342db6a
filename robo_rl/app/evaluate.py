"""`robo-rl evaluate`: how often a policy succeeds, on fixed seeds or in finished logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.build import make_env, scenario
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import summarise
from robo_rl.seeds import Role, Seeds, seed_of


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_bundle(given)


def main(config: DictConfig) -> None:
    """Write `out`/result.json and show it."""
    runs.require_positive(config, "episodes", "n")
    if (config.run is None) == (config.log is None):
        raise UserError("run=, log=: evaluate needs one of the two: a policy to run, or finished logs")
    result, out = _episodes(config) if config.log is None else _logs(config)
    runs.write_json(out / "result.json", result)
    shown = [(key, result[key]) for key in ("run", "episodes", "seed", "return_mean", "episode_length_mean")]
    shown = [("success", session.rate(result)), *shown, ("wall_clock_s", result["wall_clock_s"]), ("out", out)]
    session.show(f"evaluate {result['task']}", shown)


def _episodes(config: DictConfig) -> tuple[dict[str, Any], Any]:
    bundle = runs.load_policy(config, "evaluate")
    start = seed_of(Role.REPORT, config.seed)
    env = make_env(config.task, config.robot, min(config.n, config.episodes))
    try:
        bundle.require(env.obs_spec, env.act_spec, f"robot={config.robot.name} task={config.task.name}")
        out = runs.new_folder(config, "evaluate")
        runs.write_spec(out, env)
        use = config.use or bundle.uses[0]
        seeds = Seeds(start, config.episodes)
        log = out if config.record or config.video else None
        outcomes = session.rollout(
            config, env, bundle.policy_for(use), seeds, log, "evaluate", run=str(config.run), use=use
        )
    finally:
        env.close()
    trained = bundle.meta.get("env_steps_trained", 0)
    more = {key: value for key, value in scenario(config).items() if key != "task"} | {"use": use}
    return outcomes.summary(config.task.name, str(config.run), config.seed, trained, **more), out


def _logs(config: DictConfig) -> tuple[dict[str, Any], Any]:
    from robo_rl.log.reader import find_logs, read_log

    logs = [read_log(path) for path in find_logs(runs.values(config.log))]
    tasks = sorted({str(log.meta.get("task", "unknown")) for log in logs})
    if len(tasks) > 1:
        raise UserError(f"log={config.log}: holds logs of several tasks ({', '.join(tasks)}); evaluate them one by one")
    rows = [_row(episode) for log in logs for episode in log.episodes if episode.complete]
    out = runs.new_folder(config, "evaluate")
    duration = sum(
        float(episode.time[-1] - episode.time[0]) for log in logs for episode in log.episodes if len(episode)
    )
    runs_of = sorted({str(log.meta.get("run", log.meta.get("source", "unknown"))) for log in logs})
    more = {"logs": [str(log.path) for log in logs], "truncated": [str(log.path) for log in logs if log.truncated]}
    return summarise(rows, tasks[0], ", ".join(runs_of), config.seed, 0, duration, **more), out


def _row(episode: Any) -> dict[str, Any]:
    from robo_rl.types import Reason, Success

    label = Success(int(episode.success[-1]))
    return {
        "seed": episode.seed,
        "success": None if label is Success.UNKNOWN else label is Success.YES,
        "reason": Reason(int(episode.reason[-1])).label,
        "length": len(episode) - 1,
        "return": float(episode.reward[1:].sum()),
    }

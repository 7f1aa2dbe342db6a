"""`robo-rl evaluate`: how often a policy succeeds, on fixed seeds or in finished logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.build import make_env, scenario
from robo_rl.errors import UserError
from robo_rl.evaluate.compare import compare
from robo_rl.evaluate.logs import measure_logs
from robo_rl.log.reader import find_logs
from robo_rl.seeds import Role, Seeds, seed_of


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_bundle(given)


def main(config: DictConfig) -> None:
    """Write `out`/result.json and show it."""
    if config.run is None and config.log is None:
        raise UserError("run=, log=: evaluate needs a policy to run, finished logs, or both to judge it by them")
    if config.run is not None and config.log is not None:
        _off_policy(config)
        return
    if config.log is None and config.against is not None:
        raise UserError(f"against={config.against}: compares logs; it needs log=")
    result, out = _episodes(config) if config.log is None else _logs(config)
    runs.write_json(out / "result.json", result)
    shown = [(key, result[key]) for key in ("run", "episodes", "seed", "return_mean", "episode_length_mean")]
    shown += [] if config.log is None else _shown(result)
    shown = [("success", session.rate(result)), *shown, ("wall_clock_s", result["wall_clock_s"]), ("out", out)]
    session.show(f"evaluate {result['task']}", shown)


def _off_policy(config: DictConfig) -> None:
    if config.against is not None:
        raise UserError(f"against={config.against}: compares logs; with run= and log= nothing is left to compare")
    if config.steer is not None:
        raise UserError(f"steer={config.steer}: a steered policy has to run; leave log= out")
    from robo_rl.app import ope

    result, out = ope.evaluate(config)
    runs.write_json(out / "result.json", result)
    shown = [("success, not run", session.rate(result)), ("run", result["run"]), *ope.shown(result)]
    session.show(f"evaluate {result['task']}", [*shown, ("wall_clock_s", result["wall_clock_s"]), ("out", out)])


def _episodes(config: DictConfig) -> tuple[dict[str, Any], Any]:
    bundle = runs.load_policy(config, "evaluate")
    start = seed_of(Role.REPORT, config.seed)
    env = make_env(config.task, config.robot, min(config.n, config.episodes))
    try:
        bundle.require(env.obs_spec, env.act_spec, f"robot={config.robot.name} task={config.task.name}", env.dt)
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
    result = _measured(config, "log")
    if config.against is not None:
        other = _measured(config, "against")
        if other["task"] != result["task"]:
            raise UserError(f"against={config.against}: is of task={other['task']}, log= of task={result['task']}")
        result |= {"against": other, "comparison": compare(other["rows"], result["rows"])}
    return result, runs.new_folder(config, "evaluate")


def _measured(config: DictConfig, key: str) -> dict[str, Any]:
    result = measure_logs(find_logs(runs.values(config[key]), key), key, config.seed)
    session.note_left_out(result["left_out"])
    if not result["episodes"]:
        raise UserError(f"{key}={config[key]}: holds no complete episode ({result['broken_off']} incomplete)")
    return result


def _shown(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a log tells besides success, where it does."""
    tracking = {name: joint["rms"] for name, joint in result["tracking"].items()}
    worst = max(tracking, key=lambda name: tracking[name], default=None)
    shown = [
        ("time to success [s], median", result["time_to_success_s"]),
        ("tracking error, worst joint, rms", None if worst is None else f"{tracking[worst]:.4g} ({worst})"),
        ("smoothness (log dimensionless jerk)", result["smoothness"]),
        ("guard events", result["guard_events"]["count"]),
        ("rate [Hz]", result["cadence"]["rate_hz"]),
    ]
    if (comparison := result.get("comparison")) is not None:
        found, how = comparison["difference"], "paired by seed" if comparison["paired"] else "unpaired"
        interval = f"{found['mean']:+.1%} (95 % interval {found['ci_low']:+.1%} to {found['ci_high']:+.1%})"
        shown += [(f"difference, {how}", interval), ("Cohen's h", comparison["effect_size_cohens_h"])]
    return [(name, value) for name, value in shown if value is not None]

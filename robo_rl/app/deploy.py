"""`robo-rl deploy`: a policy on a rig, in real time, logged. Nothing here knows whether the robot is simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.build import make_env
from robo_rl.app.pacing import Rate, paced, report, undisturbed
from robo_rl.app.shadow import ShadowRig
from robo_rl.env import Env, RigEnv
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import Outcomes
from robo_rl.policy import Policy
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.types import Reason, Step


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_bundle(given)


def main(config: DictConfig) -> None:
    """Write `out`/result.json with cadence, faults and success; raise `UserError` when a fault ended the run."""
    runs.require_positive(config, "episodes")
    bundle = runs.load_policy(config, "deploy")
    use = config.use or bundle.uses[0]
    env = _make_env(config)
    try:
        bundle.require(env.obs_spec, env.act_spec, f"robot={config.robot.name} task={config.task.name}")
        policy = bundle.policy_for(use)
        warm_up(policy, env)
        out = runs.new_folder(config, "deploy")
        runs.write_spec(out, env)
        result, fault = _deploy(config, env, policy, out, run=str(config.run), use=use)
    finally:
        env.close()
    runs.write_json(out / "result.json", result)
    keys = ("ticks", "rate_hz", "wake_p50_us", "wake_p99_us", "wake_max_us", "deadline_misses", "faults")
    shown = [("success", session.rate(result)), *((key, result[key]) for key in keys)]
    shown += [("SCHED_FIFO", granted(result["sched_fifo"])), *_drivers(result["drivers"]), ("out", out)]
    session.show(f"deploy {config.task.name} on {config.robot.name}", shown)
    if fault:
        raise UserError(
            f"robot={config.robot.name}: a fault ended the run: {fault}; look at the robot before the next run"
        )


def granted(yes: bool) -> str:
    return "granted" if yes else "not granted"


def _drivers(reports: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A line a driver's process: what it was granted, how late it woke up, what its bus lost."""
    return [
        (
            f"driver {name}",
            f"{report['rate_hz']:.0f} Hz, wake-ups p99 {report['wake_p99_us']:.0f} us, {report['misses']} of "
            f"{report['cycles']} cycles missed, {report['retried']} answers asked for again, {report['failed']} lost; "
            f"SCHED_FIFO {granted(report['sched_fifo'])}, mlockall {granted(report['mlockall'])}",
        )
        for name, report in reports.items()
    ]


def warm_up(policy: Policy, env: Env) -> None:
    """One inference before the clock runs: the first allocates and takes long."""
    policy.reset(np.ones(env.n, bool), np.zeros(env.n, np.int64))
    policy.act(env.obs_spec.zeros(env.n))


def _make_env(config: DictConfig) -> Env:
    env = make_env(config.task, config.robot, 1, realtime=True)
    if not config.shadow:
        return env
    if not isinstance(env, RigEnv):
        raise UserError(f"shadow=true: task={config.task.name} has no rig to shadow")
    return RigEnv(ShadowRig(env.rig), env.task)


def _deploy(config: DictConfig, env: Env, policy: Policy, out: Any, **about: str) -> tuple[dict[str, Any], str]:
    """Result, and the text of a fault that ended the run ("" where none did)."""
    env, deadline = paced(env)
    rate, seeds = Rate(), Seeds(seed_of(Role.REPORT, config.seed), config.episodes)
    fault, latched = _fault_of(env)
    limit = float(config.seconds) or float("inf")

    def over(step: Step) -> bool:
        return step.exhausted or rate.seconds >= limit or (latched() and not (step.live | step.last).any())

    with undisturbed(config.priority) as fifo:
        outcomes = session.rollout(
            config, env, policy, seeds, out, "deploy", over, (rate,), shadow=config.shadow, **about
        )
    rig = getattr(env, "rig", None)
    about_time = report(rate, deadline) | {"sched_fifo": fifo, "drivers": getattr(rig, "drivers", {})}
    result = _summary(config, outcomes, **about) | about_time
    return result, fault() if latched() else ""


def _fault_of(env: Env) -> tuple[Callable[[], str], Callable[[], bool]]:
    """What says why the rig is at fault, and whether it is."""
    if not isinstance(env, RigEnv):
        return (lambda: ""), (lambda: False)
    rig = env.rig
    return (lambda: "; ".join(filter(None, rig.messages))), (lambda: bool((rig.condition == Reason.FAULT).all()))


def _summary(config: DictConfig, outcomes: Outcomes, run: str, use: str) -> dict[str, Any]:
    result = outcomes.summary(
        config.task.name, run, config.seed, use=use, robot=config.robot.name, shadow=config.shadow
    )
    return result | {"faults": sum(row["reason"] == Reason.FAULT.label for row in outcomes.rows)}

"""`robo-rl deploy`: a policy on a rig, in real time, logged. Nothing here knows whether the robot is simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.build import JOINT, description_path, make_env
from robo_rl.app.compare import Comparison, PairSeeds, begin, blinded, check, told
from robo_rl.app.pacing import Rate, driver_rows, granted, paced, report, undisturbed
from robo_rl.app.shadow import ShadowRig
from robo_rl.app.teleop import Shared, shared
from robo_rl.env import Env, RigEnv
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import Outcomes
from robo_rl.joined import joined_feature
from robo_rl.policy import Planner, Policy
from robo_rl.robot import load_descriptions
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.spec import Feature
from robo_rl.types import Reason, Step

if TYPE_CHECKING:
    from policies.bundle import Bundle


class Plan(NamedTuple):
    """Who acts in which episodes, what the log is called, and what compares them."""

    policy: Policy
    seeds: Seeds
    name: str
    comparison: Comparison | None = None


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_bundle(given)


def main(config: DictConfig) -> None:
    """Write `out`/result.json with cadence, faults and success; raise `UserError` when a fault ended the run."""
    bundle = runs.load_policy(config, "deploy")
    use = config.use or bundle.uses[0]
    check(config, use, bundle.uses)
    _require_robot(config, bundle)
    env = _make_env(config)
    try:
        bundle.require(env.obs_spec, env.act_spec, f"robot={config.robot.name} task={config.task.name}", env.dt)
        out = Path(str(config.out)).expanduser() if config.resume else runs.new_folder(config, "deploy")
        plan = _plan(config, bundle, env, use, out)
        with shared(config, env, plan.policy) as acting:
            runs.write_spec(out, env)
            result, fault = _deploy(config, env, plan, acting, out, run=str(config.run), use=use)
    finally:
        env.close()
    runs.write_json(out / "result.json", result)
    keys = ("ticks", "rate_hz", "wake_p50_us", "wake_p99_us", "wake_max_us", "deadline_misses", "faults")
    shown = told(plan.comparison) or [("success", session.rate(result))]
    shown += [(key, result[key]) for key in keys]
    shown += [("SCHED_FIFO", granted(result["sched_fifo"])), *driver_rows(result["drivers"]), ("out", out)]
    session.show(f"deploy {config.task.name} on {config.robot.name}", shown)
    if fault:
        raise UserError(
            f"robot={config.robot.name}: a fault ended the run: {fault}; look at the robot before the next run"
        )


def warm_up(policy: Policy, env: Env) -> None:
    """One inference before the clock runs: the first allocates and takes long."""
    policy.reset(np.ones(env.n, bool), np.zeros(env.n, np.int64))
    policy.act(env.obs_spec.zeros(env.n))


def _require_robot(config: DictConfig, bundle: Bundle) -> None:
    """Raise `SpecMismatch`, before a device is asked for, where the bundle moves other joints or has other limits."""
    if "description" not in config.robot or config.robot.get("action", JOINT) != JOINT:
        return
    robots = load_descriptions(description_path(config.robot.description))
    moves = joined_feature([robot.act_spec for robot in robots])
    if _limits(moves) != _limits(bundle.act_spec):
        bundle.require(bundle.obs_spec, moves, f"robot={config.robot.name}")


def _limits(feature: Feature) -> dict[str, list[float]]:
    low, high = (np.broadcast_to(bound, feature.shape).tolist() for bound in (feature.low, feature.high))
    return {name: limits for name, *limits in zip(feature.names, low, high, strict=False)}


def _make_env(config: DictConfig) -> Env:
    env = make_env(config.task, config.robot, 1, realtime=True)
    if not config.shadow:
        return env
    if not isinstance(env, RigEnv):
        raise UserError(f"shadow=true: task={config.task.name} has no rig to shadow")
    return RigEnv(ShadowRig(env.rig), env.task)


def _plan(config: DictConfig, bundle: Bundle, env: Env, use: str, out: Path) -> Plan:
    bundle.chunking = runs.pick(config, "chunks", _chunkings())

    def made(name: str) -> Policy:
        policy = bundle.policy_for(name)
        warm_up(policy, env)
        return policy

    start = seed_of(Role.REPORT, config.seed)
    if config.compare is None:
        return Plan(made(use), Seeds(start, config.episodes), "deploy")
    comparison = begin(config, out, use)
    seeds, done = PairSeeds(start, 2 * config.episodes), len(comparison.rows)
    seeds.given = done
    return Plan(blinded(comparison, made), seeds, f"deploy{done}" if done else "deploy", comparison)


def _chunkings() -> dict[str, Callable[[Planner, int, Feature], Policy]]:
    from policies.asynchronous import Ahead  # with PyTorch, as whatever loads a bundle
    from policies.compose import Chunked

    return {"wait": Chunked, "ahead": Ahead}


def _deploy(
    config: DictConfig, env: Env, plan: Plan, acting: Shared, out: Any, **about: str
) -> tuple[dict[str, Any], str]:
    """Result, and the text of a fault that ended the run ("" where none did)."""
    env, deadline = paced(env)
    rate, comparison = Rate(), plan.comparison
    fault, latched = _fault_of(env)
    limit = float(config.seconds) or float("inf")

    def over(step: Step) -> bool:
        decided = comparison is not None and comparison.over
        return decided or step.exhausted or rate.seconds >= limit or (latched() and not (step.live | step.last).any())

    watching = (rate, *acting.observers, *(() if comparison is None else (comparison,)))
    with undisturbed(config.priority) as fifo:
        outcomes = session.rollout(
            config, env, acting.policy, plan.seeds, out, plan.name, over, watching, shadow=config.shadow, **about
        )
    rig = getattr(env, "rig", None)
    about_time = report(rate, deadline) | {"sched_fifo": fifo, "drivers": getattr(rig, "drivers", {})}
    result = _summary(config, outcomes, **about) | about_time | acting.summary
    result |= {} if comparison is None else {"comparison": comparison.result()}
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

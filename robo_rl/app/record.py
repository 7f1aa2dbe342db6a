"""`robo-rl record`: episodes of an expert or a policy become a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.build import make_env, make_expert
from robo_rl.data.dataset import write_statistics
from robo_rl.env import Env
from robo_rl.errors import UserError
from robo_rl.policy import Policy
from robo_rl.seeds import Role, Seeds, seed_of


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_bundle(given)


def main(config: DictConfig) -> None:
    """Record `episodes` episodes, failures too, into `out`/log; statistics and result.json beside them."""
    runs.require_positive(config, "episodes", "n")
    source = runs.pick(config, "source", SOURCES)
    start = seed_of(Role.DEMONSTRATE, config.seed)
    env = make_env(config.task, config.robot, min(config.n, config.episodes))
    try:
        policy = source(config, env)
        out = runs.new_folder(config, "record")
        runs.write_spec(out, env)
        try:
            seeds = Seeds(start, config.episodes)
            outcomes = session.rollout(config, env, policy, seeds, out, "record", source=config.source)
        except KeyboardInterrupt:
            with suppress(UserError):  # nothing complete was recorded
                write_statistics(out)
            raise
        write_statistics(out)
    finally:
        env.close()
    result = outcomes.summary(config.task.name, str(config.run or config.source), config.seed)
    runs.write_json(out / "result.json", result)
    shown = [("episodes", result["episodes"]), ("success", session.rate(result)), ("out", out)]
    session.show(f"record {config.task.name}", shown)


def _scripted(config: DictConfig, env: Env) -> Policy:
    return make_expert(config.task, config.robot, env, config.noise)


def _bundled(config: DictConfig, env: Env) -> Policy:
    bundle = runs.load_policy(config, "record source=policy")
    bundle.require(env.obs_spec, env.act_spec, f"robot={config.robot.name} task={config.task.name}")
    return bundle.policy_for(config.use or "")


SOURCES = {"scripted": _scripted, "policy": _bundled}

"""`robo-rl record`: episodes of an expert, a policy or a person become a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from policies.override import Hold
from robo_rl.app import runs, session
from robo_rl.app.build import make_env, make_expert
from robo_rl.app.pacing import paced
from robo_rl.app.teleop import Shared, shared
from robo_rl.data.dataset import write_statistics
from robo_rl.env import Env
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import Outcomes
from robo_rl.log.reader import find_logs, read_log
from robo_rl.policy import Policy
from robo_rl.seeds import PER_RUN, Role, Seeds, seed_of
from robo_rl.spec import require_equal


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_bundle(given)


def main(config: DictConfig) -> None:
    """Record `episodes` episodes, failures too, into `out`/log; statistics and result.json beside them."""
    source = runs.pick(config, "source", SOURCES)
    env = _make_env(config)
    try:
        policy = source(config, env)
        with shared(config, env, policy, begins=config.source == PERSON) as acting:
            out, start, name = _place(config, env, acting.policy)
            runs.write_spec(out, env)
            outcomes = _record(config, env, acting, Seeds(start, config.episodes), out, name)
    finally:
        env.close()
    about = (config.task.name, str(config.run or config.source), config.seed)
    result = outcomes.summary(*about) | acting.summary
    runs.write_json(out / "result.json", result)
    shown = [("episodes", result["episodes"]), ("success", session.rate(result)), ("out", out)]
    session.show(f"record {config.task.name}", shown)


def _make_env(config: DictConfig) -> Env:
    """A person needs time to pass as it does."""
    if "_target_" not in config.teleop:
        return make_env(config.task, config.robot, min(config.n, config.episodes))
    return paced(make_env(config.task, config.robot, 1, realtime=True))[0]


def _place(config: DictConfig, env: Env, policy: Policy) -> tuple[Path, int, str]:
    """The dataset's folder, the first seed, and what the logs are called. What is appended goes on with the seeds."""
    start = seed_of(Role.DEMONSTRATE, config.seed)
    if not config.append:
        return runs.new_folder(config, "record"), start, "record"
    if config.out is None:
        raise UserError("append=true: needs out=, the dataset to append to")
    out = Path(str(config.out)).expanduser()
    logs = [read_log(path) for path in find_logs(out, "out")]
    for log in logs:
        require_equal(log.obs_spec, env.obs_spec, f"out={out}: append=true: the observations differ")
        require_equal(log.extra_spec, policy.extra_spec, f"out={out}: append=true: what the actions carry differs")
    used = [episode.seed + 1 for log in logs for episode in log.episodes if 0 <= episode.seed - start < PER_RUN]
    return out, max(used, default=start), f"record{len(logs)}"


def _record(config: DictConfig, env: Env, acting: Shared, seeds: Seeds, out: Path, name: str) -> Outcomes:
    try:
        observers: dict[str, Any] = {"observers": acting.observers, "source": config.source}
        outcomes = session.rollout(config, env, acting.policy, seeds, out, name, **observers)
    except KeyboardInterrupt:
        with suppress(UserError):  # nothing complete was recorded
            write_statistics(out)
        raise
    write_statistics(out)
    return outcomes


def _scripted(config: DictConfig, env: Env) -> Policy:
    return make_expert(config.task, config.robot, env, config.noise)


def _bundled(config: DictConfig, env: Env) -> Policy:
    bundle = runs.load_policy(config, "record source=policy")
    bundle.require(env.obs_spec, env.act_spec, f"robot={config.robot.name} task={config.task.name}", env.dt)
    return bundle.policy_for(config.use or "")


def _person(config: DictConfig, env: Env) -> Policy:
    return Hold()


PERSON = "teleop"
SOURCES = {"scripted": _scripted, "policy": _bundled, PERSON: _person}

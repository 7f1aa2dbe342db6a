"""`robo-rl replay`: does a log happen again? Its actions on a rig, or a policy on its observations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from omegaconf import DictConfig

from hardware.rig import DeviceRig
from robo_rl.app import runs, session
from robo_rl.app.beside import Side, render_beside
from robo_rl.app.build import make_env
from robo_rl.app.states import puppet_of
from robo_rl.app.video import render
from robo_rl.env import Env, LogEnv
from robo_rl.errors import SpecMismatch, UserError
from robo_rl.evaluate.aligned import ALIGN, pairs
from robo_rl.log.difference import Difference, DifferenceToLog
from robo_rl.log.episode import Episode
from robo_rl.log.layout import COMMANDED, action_topic
from robo_rl.log.policy import LogPolicy
from robo_rl.log.reader import Log, find_logs, read_log
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.spec import Spec, other_period, require_equal
from robo_rl.tool_actions import APPLIED, SETPOINT
from robo_rl.types import NO_SEED, Action, Step

if TYPE_CHECKING:
    from policies.bundle import Bundle

ItemT = TypeVar("ItemT")


class Listed(Seeds):
    """The seeds of a list, in its order."""

    def __init__(self, seeds: Sequence[int]) -> None:
        super().__init__(0, len(seeds))
        self._listed = np.array(seeds, np.int64)

    def take(self, where: np.ndarray) -> np.ndarray:
        index = super().take(where)
        return np.where(index == NO_SEED, NO_SEED, self._listed[np.maximum(index, 0)])


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_log(given)


def main(config: DictConfig) -> None:
    """Write `out`/result.json: largest and mean difference of every signal; errors.json: the largest over time."""
    if config.log is None:
        raise UserError("log=: replay needs a log, a run folder, a list or a glob")
    mode = runs.pick(config, "mode", MODES)
    logs = [read_log(path) for path in find_logs(runs.values(config.log))]
    episodes = _complete(config, logs)
    mode(config, logs, episodes)


def _report(
    config: DictConfig,
    logs: list[Log],
    episodes: list[Episode],
    difference: Difference,
    out: Path,
    about: dict[str, Any],
) -> None:
    signals = {name: signal.to_json() for name, signal in difference.signals.items()}
    worst = max((signal["max_abs_error"] for signal in signals.values()), default=0.0)
    result = {
        "mode": config.mode,
        "ticks": difference.ticks,
        "identical": difference.identical,
        "within_tolerance": difference.missed == 0 and worst <= config.tolerance,
        "tolerance": config.tolerance,
        "missed": difference.missed,
        "episodes": len(episodes),
        "logs": [str(log.path) for log in logs],
        **about,
        "signals": signals,
    }
    runs.write_json(out / "errors.json", {"dt": logs[0].dt, "max_abs_error": difference.over_time()})
    runs.write_json(out / "result.json", result)
    shown = [(name, f"max {s['max_abs_error']:.3g}, mean {s['mean_abs_error']:.3g}") for name, s in signals.items()]
    shown = [(key, result[key]) for key in ("episodes", "ticks", "identical", "within_tolerance")] + shown
    session.show(f"replay {config.mode}", [*shown, ("out", out)])


def _actions(config: DictConfig, logs: list[Log], episodes: list[Episode]) -> None:
    log, seeds = logs[0], [episode.seed for episode in episodes]
    if repeated := [seed for seed, count in Counter(seeds).items() if count > 1]:
        raise UserError(f"log={config.log}: holds the episode of seed {repeated[0]} twice; replay the runs one by one")
    env = make_env(config.task, config.robot, min(int(log.meta.get("n", 1)), len(episodes)))
    try:
        need = Spec({**env.obs_spec, "action": env.act_spec})
        for other in logs:
            have = Spec({**other.obs_spec, "action": other.act_spec})
            require_fits(other, have, need, env.dt, f"robot={config.robot.name} task={config.task.name}")
        _start_there(env, episodes[0])
        out = runs.new_folder(config, "replay")
        runs.write_spec(out, env)
        difference, policy = DifferenceToLog(episodes), LogPolicy(episodes)
        observers = (difference,)
        session.rollout(config, env, policy, Listed(seeds), out, "replay", observers=observers, source=str(log.path))
    finally:
        env.close()
    about = {"task": config.task.name, "robot": config.robot.name, "n": env.n}
    _report(config, logs, episodes, difference, out, about)


def _start_there(env: Env, episode: Episode) -> None:
    """A physical robot ramps to where the log's robot began, not to its own home pose."""
    rig = getattr(env, "rig", None)
    if isinstance(rig, DeviceRig):
        rig.start_at(episode.obs.get(SETPOINT, episode.obs[APPLIED])[0])


def _audit(config: DictConfig, logs: list[Log], episodes: list[Episode]) -> None:
    bundle = runs.load_policy(config, "replay mode=audit")
    for log in logs:
        bundle.require(log.obs_spec, log.act_spec, f"log={log.path}")
    logged = logs[0].meta.get("use", "")
    use = config.use or (logged if logged in bundle.uses else bundle.uses[0])
    difference = Difference()
    out = runs.new_folder(config, "replay")
    with session.progress("audit", len(episodes)) as count:
        for episode in episodes:
            env = LogEnv(episode, logs[0].obs_spec, logs[0].act_spec, logs[0].dt)
            audit = _Audit(difference, episode)
            run(env, _as_logged(bundle, use, episode), lambda step: step.exhausted, Seeds(0, 0), (audit, count))
    _report(config, logs, episodes, difference, out, {"run": str(config.run), "use": use})


def _as_logged(bundle: Bundle, use: str, episode: Episode) -> Policy:
    """The policy; chunks that were computed in the background arrive again when they did."""
    if "chunk_from" in episode.extra:
        from policies.asynchronous import repeating

        bundle.chunking = repeating(episode.extra)
    return bundle.policy_for(use)


def _states(config: DictConfig, logs: list[Log], episodes: list[Episode]) -> None:
    """Write video.mp4 of the logged joints and objects, one episode after the other; with `beside=`, those of two logs
    side by side."""
    runs.pick(config, "align", ALIGN)
    other = None if config.beside is None else read_log(find_logs(runs.values(config.beside), "beside")[0])
    both = [] if other is None else pairs(episodes, _complete(config, [other], "beside"))
    env = make_env(config.task, config.robot, 1)
    try:
        puppet = puppet_of(env, logs[0], episodes[0])
        second = puppet if other is None else puppet_of(env, other, both[0][1])
        camera = session.camera(config, env)
        out = runs.new_folder(config, "replay")
        video = out / "video.mp4"
        with session.counting("states", len(both or episodes)) as done:
            if other is None:
                shown = (state for episode in _told(episodes, done) for state in puppet.states(episode))
                render(shown, camera, logs[0].dt, video)
            else:
                sides = (Side(puppet, logs[0].dt), Side(second, other.dt))
                render_beside(_told(both, done), sides, config.align, camera, video)
    finally:
        env.close()
    ticks = sum(len(episode) for episode in episodes)
    about = {"task": config.task.name, "robot": config.robot.name, "objects": puppet.shown, "pairs": len(both)}
    result = {"mode": "states", "ticks": ticks, "episodes": len(episodes), "video": str(video), **about}
    runs.write_json(out / "result.json", {**result, "logs": [str(log.path) for log in logs]})
    session.show("replay states", [("episodes", len(episodes)), ("ticks", ticks), ("video", video)])


def _told(items: Sequence[ItemT], done: Callable[[int], None]) -> Iterator[ItemT]:
    """The items, each told when it was dealt with."""
    for item in items:
        yield item
        done(1)


class _Audit:
    """Observer that compares what a policy does with what was logged, base action and other extras too."""

    def __init__(self, difference: Difference, episode: Episode) -> None:
        self.difference, self.episode, self._tick = difference, episode, 0

    def __call__(self, step: Step, action: Action) -> None:
        if step.exhausted:
            return
        tick, logged = self._tick, {COMMANDED: self.episode.action[self._tick]}
        logged |= {action_topic(key): value[tick] for key, value in self.episode.extra.items()}
        now = {COMMANDED: action.value[0]} | {action_topic(key): value[0] for key, value in action.extra.items()}
        self.difference.add(now, logged, at=tick)
        self._tick += 1


def _complete(config: DictConfig, logs: list[Log], key: str = "log") -> list[Episode]:
    episodes = [episode for log in logs for episode in log.episodes]
    complete = [episode for episode in episodes if episode.complete]
    if not complete:
        raise UserError(f"{key}={config[key]}: holds no complete episode ({len(episodes)} incomplete)")
    if len(complete) < len(episodes):
        session.note(f"{key}={config[key]}: {len(episodes) - len(complete)} incomplete episodes are left out")
    return complete


def require_fits(log: Log, have: Spec, need: Spec, dt: float, where: str) -> None:
    """Raise `SpecMismatch` with the difference, unless what a log has is what is needed, at the same period [s]."""
    try:
        require_equal(have, need, f"log={log.path} does not fit {where}", other_period(log.dt, dt))
    except SpecMismatch as error:
        raise SpecMismatch(f"{error}; the log is of robot={log.meta.get('robot', 'unknown')}") from None


MODES = {"actions": _actions, "audit": _audit, "states": _states}

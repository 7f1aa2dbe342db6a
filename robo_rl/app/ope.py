"""`robo-rl evaluate run=... log=...`: how often a policy would succeed, from logs, without running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.context import stopwatch
from robo_rl.errors import UserError
from robo_rl.evaluate.machine import describe_machine
from robo_rl.evaluate.ope import LEAST, Estimate, Ran, compared, distance, foresee, from_heads
from robo_rl.log.episode import Episode
from robo_rl.log.reader import find_logs, read_log
from robo_rl.policy import Policy
from robo_rl.spec import Spec

if TYPE_CHECKING:
    from policies.bundle import Bundle

STRETCH = 8  # [ticks] that a policy is asked for from each looked-at state
Key = tuple[str, str]  # checksum of the weights, and which of the bundle's policies


@dataclass(frozen=True)
class Logged:
    """E episodes, cut into M stretches of STRETCH ticks; the last action of an episode stands in for those after it."""

    episodes: Sequence[Episode]
    ran: Sequence[Key]  # (E,) who ran it; ("", "") where the log does not tell
    folders: dict[Key, str]  # where the bundles lie that the logs name
    spec: Spec
    number: np.ndarray  # (M,) the stretch's episode
    start: np.ndarray  # (M,) its first tick
    ticks: np.ndarray  # (M, STRETCH)
    action: np.ndarray  # (M, STRETCH, A) relative to the setpoint before the stretch, in deviations of each joint
    before: np.ndarray  # (M, 1, A) that setpoint
    scale: np.ndarray  # (A,) those deviations

    @property
    def success(self) -> np.ndarray:
        return np.array([episode.succeeded for episode in self.episodes])

    def who(self, keys: Sequence[Key]) -> np.ndarray:
        """(E,) place in `keys` of the policy that ran an episode, or -1."""
        return np.array([keys.index(key) if key in keys else -1 for key in self.ran])

    def rows(self, key: str, tick: np.ndarray) -> np.ndarray:
        """An observation in every stretch, at its tick (M,)."""
        return _rows([episode.obs[key] for episode in self.episodes], self.number, tick)

    def wanted(self, policy: Policy) -> np.ndarray:
        """What a policy would command (M, STRETCH, A), like `action`: from a fresh start in each stretch, with the
        logged observations."""
        seeds = np.array([episode.seed for episode in self.episodes])[self.number]
        policy.reset(np.ones(len(self.start), bool), seeds)
        commands = [policy.act({key: self.rows(key, tick) for key in self.spec}).value for tick in self.ticks.T]
        return (np.stack(commands, axis=1) - self.before) / self.scale

    def apart(self, policy: Policy) -> np.ndarray:
        """Distances (E,) of a policy's commands from the logged ones."""
        return distance(self.action, self.wanted(policy), self.number, len(self.episodes))


def evaluate(config: DictConfig) -> tuple[dict[str, Any], Path]:
    """The result, with the keys of every evaluation, and the folder for it."""
    elapsed = stopwatch()
    bundle = runs.load_policy(config, "evaluate")
    judged = (runs.weights({"run": config.run}).get("weights_sha256", ""), config.use or bundle.uses[0])
    logged = gather(config.log, bundle)
    own = logged.who([judged]) == 0
    if not (logged.success & ~own).any():
        raise UserError(f"log={config.log}: holds no successful episode of another policy; nothing to compare with")
    out = runs.new_folder(config, "evaluate")
    with session.interruption() as stopped:
        policy = bundle.policy_for(judged[1])
        critics = fitted(logged, logged.wanted(policy), own, config.seed, config.updates, stopped)
        found = _by_comparison(logged, judged, policy, stopped)
    best = critics if found is None else found.pop("estimate")
    return {
        "task": config.task.name, "run": str(config.run), "use": judged[1], "episodes": len(logged.episodes),
        "seed": config.seed, **best.to_json(), "method": "critics" if found is None else "comparison",
        "comparison": found, "critics": critics.to_json(), "own_episodes": int(own.sum()),
        "return_mean": best.success_rate, "episode_length_mean": float(np.mean([len(e) - 1 for e in logged.episodes])),
        "env_steps_trained": bundle.meta.get("env_steps_trained", 0), "wall_clock_s": elapsed(),
        "machine": describe_machine(), "rows": [],
    }, out  # fmt: skip


def _by_comparison(logged: Logged, judged: Key, policy: Policy, stopped: Callable[[], bool]) -> dict[str, Any] | None:
    """By comparison with the other policies of the logs; None where too few of their bundles are there."""
    others = {key: found for key in logged.folders if key != judged and (found := _load(logged, key)) is not None}
    if len(others) < LEAST:
        return None
    apart = [logged.apart(policy)]
    for other in others.values():
        if stopped():
            raise KeyboardInterrupt
        apart.append(logged.apart(other))
    keys = [judged, *others]
    who, success = logged.who(keys), logged.success
    estimate, worth = judge(np.array(apart), who, success, 0, int((who == 0).sum()))
    x = compared(np.array(apart), who, success, 0)
    rows = [
        {"run": logged.folders[key], "use": key[1], "episodes": int((who == i).sum()),
         "successes": int(success[who == i].sum()), "distance": float(np.exp(x[i]))}
        for i, key in enumerate(keys) if i > 0
    ]  # fmt: skip
    return {"estimate": estimate, "worth_episodes": worth, "distance": float(np.exp(x[0])), "policies": rows}


def judge(apart: np.ndarray, who: np.ndarray, success: np.ndarray, judged: int, own: int) -> tuple[Estimate, float]:
    """Estimate of one of P policies, and how many own episodes the comparison is worth.

    Args:
        apart: (P, E) distances.
        who: (E,) which policy ran an episode; -1 where it is none of the P.
        own: how many of its own episodes may be used.
    """
    x = compared(apart, who, success, judged)
    counts = [(success[who == i].sum(), (who == i).sum()) for i in range(len(apart))]
    others = np.flatnonzero((np.arange(len(apart)) != judged) & np.isfinite(x))
    done = np.array(counts)[others]
    used = success[who == judged][:own]
    return foresee(Ran(x[others], done[:, 0], done[:, 1]), float(x[judged]), int(used.sum()), len(used))


def fitted(
    logged: Logged, wanted: np.ndarray, own: np.ndarray, seed: int, updates: int, stopped: Callable[[], bool]
) -> Estimate:
    """Fitted Q evaluation on the episodes of others. Critics see differences of like quantities, coarse and fine."""
    from policies.networks import like_pairs
    from robo_rl.learn.fqe import FQEConfig, Stretches, fit

    state = logged.spec.pack({key: logged.rows(key, logged.start) for key in logged.spec})
    pairs = like_pairs(logged.spec).numpy()
    apart = state[:, pairs[:, 0]] - state[:, pairs[:, 1]]
    fine = np.tanh(apart / (0.1 * np.maximum(apart.std(0), 1e-3)))
    time = logged.start[:, None] / max(1, logged.start.max())
    last = np.append(logged.number[1:] != logged.number[:-1], True)
    flat = (len(state), -1)
    data = Stretches(
        np.concatenate([state, apart, fine, time], axis=1), logged.action.reshape(flat), wanted.reshape(flat),
        last & logged.success[logged.number], last, logged.number,
    )  # fmt: skip
    return from_heads(fit(data, ~own, FQEConfig(updates=updates), seed, stopped))


def gather(paths: Any, bundle: Bundle) -> Logged:
    """The complete episodes of the logs that fit a bundle's specs."""
    episodes: list[Episode] = []
    ran: list[Key] = []
    folders: dict[Key, str] = {}
    for path in find_logs(runs.values(paths)):
        log = read_log(path)
        bundle.require(log.obs_spec, log.act_spec, f"log={path}")
        key = (str(log.meta.get("weights_sha256", "")), str(log.meta.get("use", "")))
        if all(key):
            folders[key] = str(log.meta.get("run", ""))
        complete = [episode for episode in log.episodes if episode.complete and len(episode) > 1]
        episodes += complete
        ran += [key if all(key) else ("", "")] * len(complete)
    if not episodes:
        raise UserError(f"log={paths}: holds no complete episode")
    return cut(episodes, ran, folders, bundle.obs_spec)


def cut(episodes: Sequence[Episode], ran: Sequence[Key], folders: dict[Key, str], spec: Spec) -> Logged:
    """Episodes cut into stretches."""
    length = np.array([len(episode) - 1 for episode in episodes])  # [ticks] with an action
    number = np.repeat(np.arange(len(episodes)), -(-length // STRETCH))
    start = np.concatenate([np.arange(0, ticks, STRETCH) for ticks in length])
    ticks = np.minimum(start[:, None] + np.arange(STRETCH), length[number][:, None] - 1)
    home = np.mean([episode.applied[1] for episode in episodes], axis=0)  # at FIRST nothing was applied yet
    before = np.where(start[:, None] == 0, home, _rows([e.applied for e in episodes], number, start))[:, None]
    action = _rows([episode.action for episode in episodes], number[:, None], ticks) - before
    scale = np.maximum(action.std(axis=(0, 1)), 1e-6)
    return Logged(episodes, ran, folders, spec, number, start, ticks, action / scale, before, scale)


def _rows(values: Sequence[np.ndarray], number: np.ndarray, tick: np.ndarray) -> np.ndarray:
    """Values of episode `number` at `tick`, both of one shape."""
    offset = np.cumsum([0, *map(len, values)])[:-1]
    return np.concatenate(values)[offset[number] + tick]


def _load(logged: Logged, key: Key) -> Policy | None:
    """The policy that ran a log, unless its bundle is gone or another one lies in its place."""
    from policies.bundle import load_bundle

    folder = logged.folders[key]
    if runs.weights({"run": folder}).get("weights_sha256") != key[0]:
        return None
    bundle = load_bundle(folder)
    return bundle.policy_for(key[1]) if key[1] in bundle.uses else None


def shown(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """Lines of the table on the screen."""
    found = [("episodes in the logs", result["episodes"]), ("of them its own", result["own_episodes"])]
    if (comparison := result["comparison"]) is None:
        weak = f"critics alone: fewer than {LEAST} other policies of these logs have their bundles where the logs say"
        return [*found, ("method", weak)]
    text = f"comparison with {len(comparison['policies'])} policies"
    text += f", worth {comparison['worth_episodes']:.0f} own episodes"
    return [*found, ("method", text), ("critics alone", session.rate(result["critics"]))]

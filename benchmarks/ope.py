"""`python -m benchmarks ope [pool=NAME]`: off-policy evaluation of policies whose true success is known.

Clones of so101/insert_peg, from few or many demonstrations, trained for short or long. Truth: episodes that no estimate
sees. Every policy logged 30 episodes. One policy at a time is judged from the logs of the others, as if it had run no
episode or only the first few of its own:

- `comparison`: the command's answer (`robo_rl.evaluate.ope`), with 0 to 30 own episodes
- `plain`: the share of successes in the same own episodes, with Wilson's interval; it needs nobody else's logs
- `unread`: the comparison without its covariate: what the others' results alone say
- `critics`: fitted Q evaluation on the others' episodes

The estimator was chosen on the pool `tuning`, and then run once on the pool `report`. A step whose result.json exists
is skipped. Writes benchmarks/ope.json; what it ran lies in build/ope/.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import require_used, step
from robo_rl.app import ope
from robo_rl.app.runs import write_json
from robo_rl.app.session import show
from robo_rl.errors import UnknownName
from robo_rl.evaluate.machine import describe_machine
from robo_rl.evaluate.ope import Estimate, Ran, foresee, quality
from robo_rl.evaluate.statistics import wilson

TASK = "so101/insert_peg"
LOGGED, OWN = 30, (0, 5, 10, 20, 30)  # [episodes]
UPDATES = 600  # of the critics


@dataclass(frozen=True)
class Pool:
    """Policies to judge; seeds are numbers of the commands' seed ranges."""

    policies: tuple[tuple[int, int, int], ...]  # demonstrations, updates, training seed
    recorded: int  # seed of the demonstrations
    logged: tuple[int, ...]  # seed of each policy's logs
    truth: int  # seed of the truth
    episodes: int  # of the truth


POOLS = {
    "tuning": Pool(
        (*product((50, 20, 10, 4), (3000, 1000, 300), (0,)), *product((50, 20, 10), (3000, 1000, 300), (1,))),
        9, (1,) * 21, 0, 200,
    ),
    "report": Pool(
        (*product((100, 60, 40, 25, 15, 8), (2000, 600), (2,)), *product((100, 60, 40, 25), (2000, 600), (3,))),
        21, tuple(range(100, 120)), 99, 300,
    ),
}  # fmt: skip
TARGETS = {"rank_correlation": 0.6, "regret_at_1": 0.05, "mean_absolute_error": 0.1}


def main(keys: dict[str, str], root: Path) -> int:
    """0 where the answer without own episodes meets all targets on the report's pool."""
    chosen = keys.pop("pool", None)
    require_used(keys, "pool")
    if chosen not in (None, *POOLS):
        raise UnknownName("pool", chosen, POOLS)
    place, found = Path("benchmarks/ope.json"), {}
    for name in POOLS if chosen is None else [chosen]:
        result = measure(POOLS[name], root / "ope" / name)
        found = (json.loads(place.read_text()) if place.exists() else {}) | {name: result}
        write_json(place, found)
        for kind, values in found[name]["quality"].items():
            show(f"{name}, {kind}", [*values.items()])
    return 0 if found.get("report", {"met": True})["met"] else 1


def measure(pool: Pool, root: Path) -> dict[str, Any]:
    """All estimates of a pool's policies, and how good they are."""
    names = made(pool, root)
    truth = np.array([step(root / f"{name}-truth")["success_rate"] for name in names])
    began = time.process_time()
    estimates = judged(root, names)
    minutes = (time.process_time() - began) / 60
    found = {kind: quality(values, truth) for kind, values in estimates.items()}
    rows = [
        {"policy": name, "truth": true, **{kind: values[i].to_json() for kind, values in estimates.items()}}
        for i, (name, true) in enumerate(zip(names, truth.tolist(), strict=True))
    ]
    return {
        "task": TASK, "policies": len(names), "logged_episodes": LOGGED, "truth_episodes": pool.episodes,
        "quality": found, "met": met(found["comparison, 0 own"]), "cpu_minutes_of_estimates": minutes,
        "rows": rows, "machine": describe_machine(),
    }  # fmt: skip


def met(found: dict[str, Any]) -> bool:
    """Whether all targets are."""
    small = all(found[key] <= TARGETS[key] for key in ("regret_at_1", "mean_absolute_error"))
    return small and found["rank_correlation"] >= TARGETS["rank_correlation"] and 0.85 <= found["coverage"] <= 0.99


def judged(root: Path, names: list[str]) -> dict[str, list[Estimate]]:
    """Every kind's estimates of all policies."""
    from policies.bundle import load_bundle

    bundles = [load_bundle(root / name) for name in names]
    logged = ope.gather([str(root / f"{name}-log") for name in names], bundles[0])
    who = np.repeat(np.arange(len(names)), LOGGED)
    success = logged.success
    wanted = [logged.wanted(bundle.policy_for()) for bundle in bundles]
    apart = np.array([ope.distance(logged.action, asked, logged.number, len(success)) for asked in wanted])
    every = range(len(names))
    found = {f"comparison, {own} own": [ope.judge(apart, who, success, i, own)[0] for i in every] for own in OWN}
    for own in OWN[1:]:
        counts = [int(success[who == i][:own].sum()) for i in every]
        found[f"plain, {own} own"] = [Estimate(count / own, *wilson(count, own)) for count in counts]
    totals = np.bincount(who, success)
    found["unread, 0 own"] = [_unread(np.delete(totals, i)) for i in every]
    found["critics, 0 own"] = [ope.fitted(logged, wanted[i], who == i, 0, UPDATES, lambda: False) for i in every]
    return found


def _unread(successes: np.ndarray) -> Estimate:
    return foresee(Ran(np.zeros(len(successes)), successes, np.full(len(successes), LOGGED)), 0.0)[0]


def made(pool: Pool, root: Path) -> list[str]:
    """Clones with their truth and their logs; their names."""
    for count in dict.fromkeys(count for count, _, _ in pool.policies):
        step(root / f"data-{count}", "record", f"task={TASK}", f"episodes={count}", f"seed={pool.recorded}")
    names = []
    for (count, updates, seed), logged in zip(pool.policies, pool.logged, strict=True):
        name = f"policy-{count}-{updates}-{seed}"
        few = ("learner.checkpoints=1", "learner.episodes=10", "threads=1")
        what = (f"dataset={root / f'data-{count}'}", f"learner.config.updates={updates}", f"seed={seed}")
        step(root / name, "train", "learner=bc", *what, *few)
        run, truth = f"run={root / name}", (f"episodes={pool.episodes}", f"seed={pool.truth}", "record=false")
        step(root / f"{name}-log", "evaluate", run, f"episodes={LOGGED}", f"n={LOGGED}", f"seed={logged}")
        step(root / f"{name}-truth", "evaluate", run, *truth)
        names.append(name)
    return names

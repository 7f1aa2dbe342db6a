"""`robo-rl deploy compare=base`: a blind, interleaved comparison of two of a bundle's policies on a robot."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from policies.blind import Blind, order_of
from robo_rl.app import runs
from robo_rl.app.session import rate as rate_text
from robo_rl.errors import CorruptFile, UnknownName, UserError
from robo_rl.evaluate.sequential import FIRST, SECOND, UNDECIDED, PairedTest, difference_interval
from robo_rl.evaluate.statistics import wilson
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Reason, Step, Success

FILE = "compare.json"


class PairSeeds(Seeds):
    """Every seed twice: both policies of a pair get the same scene."""

    def take(self, where: np.ndarray) -> np.ndarray:
        seeds = super().take(where)
        return np.where(seeds >= self.start, self.start + (seeds - self.start) // 2, seeds)


class Comparison:
    """Observer: takes down how each episode went, stops when it is clear, keeps the file that it goes on from.

    An episode that a fault ended is nobody's failure: it ends the run, and is done again when the comparison goes on.

    Args:
        names: of the two policies, e.g. ("base", "residual").
        seed: of the order.
        pairs: most pairs of episodes.
        alpha: probability of a wrong verdict.
        path: the file.
        rows: what it held: `policy`, `seed`, `success` of every episode.
    """

    def __init__(
        self,
        names: tuple[str, str],
        seed: int,
        pairs: int,
        alpha: float,
        path: Path,
        rows: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.names, self.seed, self.pairs, self.path = names, seed, pairs, path
        self.test = PairedTest(alpha)
        self.rows: list[dict[str, Any]] = []
        for row in rows:
            self._take(row)

    def __call__(self, step: Step, action: Action) -> None:
        if not step.last[0] or step.reason[0] == Reason.FAULT:
            return
        if step.success[0] == Success.UNKNOWN:
            raise UserError("compare=: nobody could say whether an episode succeeded; the task has to, or a person")
        self._take({"seed": int(step.seed[0]), "success": bool(step.success[0] == Success.YES)})
        self.save()

    @property
    def over(self) -> bool:
        return self.test.verdict != UNDECIDED or len(self.rows) >= 2 * self.pairs

    @property
    def outcomes(self) -> list[tuple[bool, bool]]:
        """(first policy, second policy) of every whole pair."""
        whole = [self.rows[at : at + 2] for at in range(0, len(self.rows) - 1, 2)]
        return [(success(pair, self.names[0]), success(pair, self.names[1])) for pair in whole]

    def save(self) -> None:
        runs.write_json(self.path, {"format": 1, **self._settings(), "rows": self.rows})

    def result(self) -> dict[str, Any]:
        """The verdict, in the names of the policies, with rates and the interval of their difference."""
        pairs = self.outcomes
        low, high = difference_interval(pairs, self.test.alpha)
        verdict = {FIRST: self.names[0], SECOND: self.names[1]}.get(self.test.verdict, UNDECIDED)
        evidence = dict(zip(self.names, self.test.evidence, strict=True))
        mean = float(np.mean([second - first for first, second in np.array(pairs, float)])) if pairs else None
        return {
            "better": verdict,
            "pairs": len(pairs),
            **self._settings(),
            "policies": {name: _rate([pair[n] for pair in pairs]) for n, name in enumerate(self.names)},
            "difference": {"of": f"{self.names[1]} - {self.names[0]}", "mean": mean, "ci_low": low, "ci_high": high},
            "evidence": {**evidence, "needed": 2 / self.test.alpha},
        }

    def _settings(self) -> dict[str, Any]:
        return {"names": list(self.names), "seed": self.seed, "alpha": self.test.alpha, "most_pairs": self.pairs}

    def _take(self, row: dict[str, Any]) -> None:
        number = len(self.rows)
        self.rows.append({**row, "policy": self.names[order_of(self.seed, number // 2)[number % 2]]})
        if number % 2:
            self.test.add(np.array([self.outcomes[-1]]))


def success(pair: Sequence[dict[str, Any]], name: str) -> bool:
    """How the policy `name` did in a pair of episodes."""
    return next(row["success"] for row in pair if row["policy"] == name)


def begin(config: DictConfig, out: Path, use: str) -> Comparison:
    """A new comparison in `out`, or, with resume=true, the one that lies there. Raises `UserError` where its settings
    are not the command's."""
    made = Comparison((str(config.compare), use), int(config.seed), config.episodes, float(config.alpha), out / FILE)
    if not config.resume:
        return made
    try:
        data = json.loads((out / FILE).read_text())
        rows = [{"seed": int(row["seed"]), "success": bool(row["success"])} for row in data["rows"]]
        held = {key: data[key] for key in ("names", "seed", "alpha")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(
            f"out={out}: {FILE} cannot be read ({error}); there is no comparison to go on with"
        ) from error
    asked = {key: made._settings()[key] for key in held}
    if held != asked:
        wrong = next(key for key in held if held[key] != asked[key])
        raise UserError(f"resume=true: the comparison in {out} has {wrong}={held[wrong]}, not {asked[wrong]}")
    return Comparison(made.names, made.seed, made.pairs, made.test.alpha, made.path, rows)


def blinded(comparison: Comparison, policy_for: Callable[[str], Policy]) -> Blind:
    """The policies of a comparison behind one face, from the episode that comes next."""
    return Blind([policy_for(name) for name in comparison.names], comparison.seed, len(comparison.rows))


def check(config: DictConfig, use: str, uses: Sequence[str]) -> None:
    """Raise `UserError` for a comparison that cannot be."""
    if config.compare is None:
        if config.resume:
            raise UserError("resume=true: goes with compare=; a deployment begins anew")
        return
    others = [name for name in uses if name != use]
    if not others:
        raise UserError(
            f"compare={config.compare}: run={config.run} holds one policy, {use}; nothing to compare it with"
        )
    if config.compare not in uses:
        raise UnknownName("compare", config.compare, others)
    if config.compare == use:
        raise UserError(f"compare={config.compare}: is what use={use} is, too; give the other one")
    if config.shadow:
        raise UserError("shadow=true: compares nothing, for nothing is sent to the robot")
    if not 0 < config.alpha < 1:
        raise UserError(f"alpha={config.alpha}: must lie between 0 and 1")
    if config.resume and config.out is None:
        raise UserError("resume=true: needs out=, the folder of the comparison to go on with")


def told(comparison: Comparison | None) -> list[tuple[str, str]]:
    """The verdict as rows of names and values; none where nothing was compared."""
    if comparison is None:
        return []
    found = comparison.result()
    rows = [(name, rate_text(numbers)) for name, numbers in found["policies"].items()]
    gap = found["difference"]
    mean = "unknown" if gap["mean"] is None else f"{100 * gap['mean']:+.1f} points"
    text = f"{mean} ({100 * gap['ci_low']:+.1f} to {100 * gap['ci_high']:+.1f}, at any time)"
    return [("better", f"{found['better']} after {found['pairs']} pairs"), *rows, (gap["of"], text)]


def _rate(outcomes: Sequence[bool]) -> dict[str, Any]:
    low, high = wilson(sum(outcomes), len(outcomes))
    return {"success_rate": sum(outcomes) / len(outcomes) if outcomes else None, "ci_low": low, "ci_high": high}

"""What is to be run: plan.yaml, unfolded into runs that are known by the hash of their configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

PLAN = Path(__file__).with_name("plan.yaml")


@dataclass(frozen=True)
class Run:
    """One training run, with the base it starts from."""

    task: str
    demonstrations: int
    method: str
    keys: tuple[str, ...]  # of `robo-rl train`, besides base, seed and steps
    seed: int  # of demonstrations, base and training alike
    steps: int
    episodes: int

    @property
    def key(self) -> str:
        """12 hexadecimal digits of the configuration's SHA-256."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Wanted:
    """A run and where it belongs: `part` of the plan, `variant` of the method ("" where there is one)."""

    part: str
    variant: str
    run: Run


def load(path: Path = PLAN) -> dict[str, Any]:
    """The plan as data."""
    return yaml.safe_load(path.read_text())


def tuning(plan: Mapping[str, Any]) -> Iterator[Wanted]:
    """Every choice of every method that has some, on the tuning seeds, and on tasks of its own where it names some."""
    spec = plan["tuning"]
    for method, about in plan["methods"].items():
        for choice in about.get("choices", ()):
            for task in about.get("tuned_on", spec["tasks"]):
                for seed in spec["seeds"]:
                    keys = (*about["keys"], *choice)
                    yield Wanted("tuning", " ".join(choice), _run(plan, task, method, keys, seed, spec["steps"]))


def part(plan: Mapping[str, Any], name: str, chosen: Mapping[str, tuple[str, ...]]) -> Iterator[Wanted]:
    """The runs of a part; `chosen` are the tuned keys by method."""
    spec = plan["parts"][name]
    steps = spec.get("steps", plan["steps"])
    for seed in spec["seeds"]:  # seeds outermost: what is there early says something about everything
        for task in spec["tasks"]:
            for method in spec["methods"]:
                for variant, further in spec.get("variants", {"": ()}).items():
                    keys = (*plan["methods"][method]["keys"], *chosen.get(method, ()), *further)
                    yield Wanted(name, variant, _run(plan, task, method, keys, seed, steps))


def choose(plan: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The tuned keys by method: most success on the tuning seeds, the earlier choice where two are equal.

    Methods of which a tuning run is missing among `rows` (results by run key) are left out.
    """
    success: dict[str, dict[str, list[float | None]]] = {}
    for wanted in tuning(plan):
        row = rows.get(wanted.run.key)
        found = None if row is None else row["tuning_success"]
        success.setdefault(wanted.run.method, {}).setdefault(wanted.variant, []).append(found)
    chosen = {}
    for method, choices in success.items():
        rates = {variant: [rate for rate in found if rate is not None] for variant, found in choices.items()}
        if all(len(rates[variant]) == len(found) for variant, found in choices.items()):
            best = max(rates, key=lambda variant: sum(rates[variant]))
            chosen[method] = next(tuple(c) for c in plan["methods"][method]["choices"] if " ".join(c) == best)
    return chosen


def _run(plan: Mapping[str, Any], task: str, method: str, keys: tuple[str, ...], seed: int, steps: int) -> Run:
    about = plan["tasks"][task]
    scale = [key for key in about.get("scale", {}).get(method, ()) if key.partition("=")[0] not in _names(keys)]
    return Run(task, about["demonstrations"], method, (*keys, *scale), seed, steps, plan["episodes"])


def _names(keys: tuple[str, ...]) -> set[str]:
    return {key.partition("=")[0] for key in keys}

"""Tables of the runs: interquartile means, stratified bootstrap intervals, restricted means to 95 % success.

Formulas of rliable (Agarwal et al. 2021, arXiv 2108.13264) and of survival analysis (restricted mean).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import trim_mean

RESAMPLES = 20_000
Row = Mapping[str, Any]


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of all scores: (..., runs, tasks) -> (...)."""
    return trim_mean(scores.reshape(*scores.shape[:-2], -1), 0.25, axis=-1)


def stratified(
    scores: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of a statistic of scores (runs, tasks), runs drawn again within each task."""
    runs, tasks = scores.shape
    pick = np.random.default_rng(seed).integers(0, runs, (RESAMPLES, runs, tasks))
    values = statistic(np.take_along_axis(scores[None], pick, 1))
    low, high = np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)


def restricted_mean(times: Sequence[float | None], limits: Sequence[float]) -> float:
    """Mean of min(time, limit); `None` is a run that did not get there before its limit. No run ends before it."""
    pairs = zip(times, limits, strict=True)
    return float(np.mean([limit if time is None else min(time, limit) for time, limit in pairs]))


def page(plan: Mapping[str, Any], rows: Sequence[Row], wanted: int) -> str:
    """benchmarks/learners.md."""
    machines = sorted({row["machine"] for row in rows})
    parts = [
        "# Learners beside each other",
        "Made by `python -m benchmarks learners`; the numbers are in [learners.json](learners.json), what is run in "
        "[learners/plan.yaml](learners/plan.yaml).",
        f"{len(rows)} of {wanted} runs that are planned so far are done, on: {'; '.join(machines) or 'nothing yet'}. "
        f"One core a run. {sum(row['cpu_s'] for row in rows) / 3600:.1f} processor hours.",
        f"All methods start from the same base and demonstrations of a training seed and have {plan['steps']} "
        "environment steps, warm-up included. Success: median over seeds and the range, on the report's seeds "
        f"({plan['episodes']} episodes), of what a run promotes, which is the base where nothing better was learned "
        '("base kept"); "raw" is the last checkpoint, without choosing or promotion. To 95 %: the '
        "first evaluation (100 episodes, seeds for choosing) that reached it; runs that did not are censored and count "
        "with the whole run, so these means are restricted. The machine did other work, too: processor seconds say "
        "what a run costs, seconds what it took.",
        "## Success and speed",
        _table(groups_of(rows, "residual", "others"), plan),
        "![Success while learning](learners.png)",
        "While learning, on seeds for choosing, without exploration: median over seeds and the range.",
        *_across(plan, rows),
        "## Ablation of the residual",
        f"Runs of {plan['parts']['ablation']['steps']} environment steps.",
        _table(groups_of(rows, "ablation"), plan),
        "## Tuning",
        "Success of the last checkpoint on seeds of its own; the best of a method's choices is taken, the first where "
        "two are equal.",
        _tuning(rows),
    ]
    return "\n\n".join(parts) + "\n"


def groups_of(rows: Sequence[Row], *parts: str) -> dict[tuple[str, str], list[Row]]:
    """Rows by task and method or variant."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["part"] in parts:
            groups.setdefault((row["task"], row["variant"] or row["method"]), []).append(row)
    return groups


def _table(groups: Mapping[tuple[str, str], Sequence[Row]], plan: Mapping[str, Any]) -> str:
    head = (
        "| task | method | seeds | UTD | base | success | base kept | raw | with exploration | censored "
        "| steps to 95 % | processor s | s |"
    )
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for (task, name), rows in groups.items():
        censored = sum(row["steps_to_95"] is None for row in rows)
        steps, processor, seconds = (
            restricted_mean([row[key] for row in rows], [row[limit] for row in rows])
            for key, limit in (
                ("steps_to_95", "env_steps"),
                ("cpu_to_95_s", "cpu_s"),
                ("wall_clock_to_95_s", "wall_clock_s"),
            )
        )
        cells = [
            task, name, str(len(rows)), f"{rows[0]['utd']:g}", _spread(rows, "base_success"),
            _spread(rows, "success_rate"), f"{sum(row['promoted'] == 'base' for row in rows)} of {len(rows)}",
            _spread(rows, "raw_final_success"), _spread(rows, "noisy_success_rate"),
            f"{censored} of {len(rows)}", f"{steps / 1000:.0f}k", f"{processor:.0f}", f"{seconds:.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(rows: Sequence[Row], key: str) -> str:
    """Median and range, in percent."""
    values = [100 * row[key] for row in rows]
    return f"{np.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _across(plan: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Interquartile means of the methods over the tasks and seeds that a part of the plan has for all of them."""
    texts = []
    for part, spec in plan["parts"].items():
        for method in spec["methods"]:
            if "variants" in spec:
                continue
            found = [_scores(rows, spec, part, method, key) for key in ("success_rate", "raw_final_success")]
            means = [_interval(scores) for scores in found if scores is not None]
            if means:
                texts.append(
                    f"- {method}, {len(spec['tasks'])} tasks, {len(spec['seeds'])} seeds each: interquartile mean "
                    f"{means[0]}, raw {means[1]}"
                )
    return ["In brackets: 95 % intervals, stratified bootstrap.", "\n".join(texts)] if texts else []


def _interval(scores: np.ndarray) -> str:
    low, high = stratified(scores, interquartile_mean)
    return f"{float(interquartile_mean(scores)):.1%} ({low:.1%} to {high:.1%})"


def _scores(rows: Sequence[Row], spec: Mapping[str, Any], part: str, method: str, key: str) -> np.ndarray | None:
    """A kind of success (seeds, tasks), or None where a run is missing."""
    known = {(row["task"], row["seed"]): row[key] for row in rows if (row["part"], row["method"]) == (part, method)}
    wanted = [[known.get((task, seed)) for task in spec["tasks"]] for seed in spec["seeds"]]
    return None if any(value is None for line in wanted for value in line) else np.array(wanted, float)


def _tuning(rows: Sequence[Row]) -> str:
    lines = ["| method | keys | task | seed | success |", "|---|---|---|---|---|"]
    for row in rows:
        if row["part"] == "tuning":
            cells = (row["method"], f"`{row['variant']}`" if row["variant"] else "defaults", row["task"])
            lines.append(f"| {' | '.join(cells)} | {row['seed']} | {row['tuning_success']:.1%} |")
    return "\n".join(lines)

"""The plots of a report: what was learned, and what happened in an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from robo_rl.evaluate.gather import Source
from robo_rl.evaluate.plots import Line, Plot
from robo_rl.evaluate.statistics import wilson
from robo_rl.log.episode import Episode

RATES = ("success", "success_rate")
EVALUATED = ("learner.online.select_episodes", "learner.episodes")  # config keys: episodes behind a success rate
NOT_CURVES = ("step", "wall", "env_steps", "updates")
MOST_CURVES, MOST_ELEMENTS = 12, 8


def learning_curves(sources: Sequence[Source]) -> list[Plot]:
    """Success against steps with Wilson's intervals, then what else the runs' metrics hold, each on its own axes."""
    lines = [line for source in sources if (line := _success(source)) is not None]
    plots = [Plot("Success while learning", "step", "success rate", lines, (0.0, 1.0))] if lines else []
    if len(lines) > 1:
        plots.append(Plot("Success while learning, over runs", "step", "success rate", [_over_runs(lines)], (0.0, 1.0)))
    names = dict.fromkeys(key for source in sources for record in source.metrics for key in record)
    for name in [name for name in names if name not in (*NOT_CURVES, *RATES)][:MOST_CURVES]:
        found = [line for source in sources if (line := _metric(source, (name,))) is not None]
        plots += [Plot(name, "step", name, found)] if found else []
    return plots


def _metric(source: Source, names: Sequence[str]) -> Line | None:
    """The first of the metrics that a run has, if it has two numbers of it."""
    for name in names:
        records = [r for r in source.metrics if isinstance(r.get(name), int | float)]
        if len(records) > 1:
            return Line(source.name, [r["step"] for r in records], [float(r[name]) for r in records])
    return None


def _success(source: Source) -> Line | None:
    line = _metric(source, RATES)
    episodes = next((int(source.config[key]) for key in EVALUATED if source.config.get(key, "").isdigit()), 0)
    if line is None or not episodes:
        return line
    bounds = [wilson(round(rate * episodes), episodes) for rate in line.y]
    return Line(line.name, line.x, line.y, [low for low, _ in bounds], [high for _, high in bounds], marked=True)


def _over_runs(lines: Sequence[Line]) -> Line:
    """Mean of several curves where all of them are defined, with the range between the least and the largest."""
    start, stop = max(line.x[0] for line in lines), min(line.x[-1] for line in lines)
    at = np.linspace(start, max(start, stop), 50)
    values = np.stack([np.interp(at, line.x, line.y) for line in lines])
    name = f"mean of {len(lines)} runs, least and largest"
    return Line(name, at.tolist(), values.mean(0).tolist(), values.min(0).tolist(), values.max(0).tolist())


def success_rates(sources: Sequence[Source]) -> list[Plot]:
    """Each source's success rate with its interval, side by side."""
    lines = []
    for index, source in enumerate(sources):
        about = source.about
        if about.get("success_rate") is not None and "ci_low" in about:
            bar = [about["ci_low"], about["success_rate"], about["ci_high"]]
            lines.append(Line(f"{source.name}: {about['success_rate']:.1%}", [index] * 3, bar, marked=True))
    return [Plot("Success rates, 95 % intervals", "run", "success rate", lines, (0.0, 1.0))] if lines else []


def episode_plots(episode: Episode, dt: float) -> list[Plot]:
    """One plot a signal: observations, actions (commanded, accepted, base), reward; all over the episode's time."""
    time = (np.arange(len(episode)) * dt).tolist()
    return [Plot(name, "time [s]", name, _elements(value, time)) for name, value in signals(episode).items()]


def signals(episode: Episode) -> dict[str, np.ndarray]:
    """What can be drawn of an episode, (T, elements) each; pictures cannot."""
    found: dict[str, np.ndarray] = {f"obs/{key}": value for key, value in episode.obs.items() if len(value.shape) < 3}
    found |= {"action/commanded": episode.action, "action/applied": episode.applied}
    found |= {f"action/{key}": value for key, value in episode.extra.items()} | {"reward": episode.reward}
    flat = {name: value.reshape(len(episode), -1) for name, value in found.items() if value.dtype.kind in "fiub"}
    return {name: value for name, value in flat.items() if 0 < value.shape[1] <= 4 * MOST_ELEMENTS}


def _elements(value: np.ndarray, time: list[float]) -> list[Line]:
    shown = value[:, :MOST_ELEMENTS].astype(np.float64)
    return [Line(f"[{index}]", time, shown[:, index].tolist()) for index in range(shown.shape[1])]


def error_plots(errors: Mapping[str, Any]) -> list[Plot]:
    """A replay's errors over time (errors.json), where there are any."""
    dt, found = float(errors.get("dt", 1.0)), errors.get("max_abs_error", {})
    lines = [Line(name, (np.arange(len(v)) * dt).tolist(), v) for name, v in found.items() if any(v)]
    return [Plot("Replay: largest error over time", "time [s]", "absolute error", lines)] if lines else []

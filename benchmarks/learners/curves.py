"""Success while learning, over environment steps: a picture of every task with what was run on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Row = Mapping[str, Any]
POINTS = 200  # that runs of unequal evaluation steps are read at
WIDTH, HEIGHT = 3.3, 3.0  # [in] of a task


def middle(rows: Sequence[Row], steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Median, lowest and highest success (POINTS,) over runs, and the environment steps (POINTS,) they are at: straight
    lines between evaluations, from the last run's first evaluation to the first one's end."""
    curves = [np.array([(at["env_steps"], at["success"]) for at in row["curve"]], float).T for row in rows]
    begin, end = max(at[0] for at, _ in curves), min(steps, *(at[-1] for at, _ in curves))
    grid = np.linspace(begin, end, POINTS)
    values = np.array([np.interp(grid, *curve) for curve in curves])
    return grid, np.median(values, axis=0), values.min(axis=0), values.max(axis=0)


def draw(groups: Mapping[tuple[str, str], Sequence[Row]], steps: int, path: Path) -> None:
    """Runs by task and method, beside each other."""
    from matplotlib import pyplot

    tasks, methods = (list(dict.fromkeys(names)) for names in zip(*groups, strict=True))
    figure, grid = pyplot.subplots(
        1, len(tasks), figsize=(WIDTH * len(tasks) + 0.4, HEIGHT), sharey=True, squeeze=False, constrained_layout=True
    )
    for (task, method), rows in groups.items():
        axes, colour = grid[0, tasks.index(task)], f"C{methods.index(method)}"
        at, median, low, high = middle(rows, steps)
        axes.plot(at, median, color=colour, label=f"{method} ({len(rows)})")
        axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
    for axes, task in zip(grid[0], tasks, strict=True):
        axes.set(title=task, xlabel="environment steps", ylim=(0, 1.02), xlim=(0, steps))
        axes.set_xticks([0, steps // 2, steps])
        axes.axhline(0.95, color="grey", lw=0.8, ls=":")
        axes.grid(alpha=0.25)
        axes.legend(loc="lower right", fontsize=7, title="seeds in brackets", title_fontsize=7)
    grid[0, 0].set_ylabel("success rate")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)

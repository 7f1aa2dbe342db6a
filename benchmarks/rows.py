"""Rows of results, and how candidates are measured: in turns, so that a slow minute of the machine hits all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from robo_rl.app.runs import write_json
from robo_rl.evaluate.machine import describe_machine

PACKAGES = ("mujoco", "torch", "numpy", "gymnasium", "stable-baselines3")
COLUMNS = ("name", "value", "unit", "peer", "peer_value", "ratio", "bound", "share_of_bound")


@dataclass(frozen=True)
class Row:
    """One measured number, beside the same of a peer and the best that the machine could do."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    bound: float | None = None
    note: str = ""  # what is in the number, and what is not

    @property
    def ratio(self) -> float | None:
        """Value over the peer's."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def share_of_bound(self) -> float | None:
        return self.value / self.bound if self.bound else None

    def to_json(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in (*COLUMNS, "note")}


def in_turns(candidates: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, float]:
    """Median over rounds of what each candidate returns when called with the round's number: A B C A B C ...

    Round 0 warms up and is not counted.
    """
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, candidate in candidates.items():
            found[name].append(candidate(number))
    return {name: float(np.median(values[1:])) for name, values in found.items()}


def measured_on() -> str:
    """Machine, its load before the run, and versions, in one line."""
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    return f"{describe_machine()}, {load}; " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def write(path: Path, rows: Sequence[Row], machine: str) -> None:
    """The rows as JSON, replaced atomically; each says where it was measured."""
    write_json(path, [row.to_json() | {"machine": machine} for row in rows])


def show(rows: Sequence[Row], machine: str) -> None:
    """Print a table, and the notes below it."""
    table = Table(title="benchmarks", title_justify="left")
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_text(getattr(row, column)) for column in COLUMNS))
    console = Console(width=None if Console().is_terminal else 150)
    console.print(table)
    for row in rows:
        console.print(f"{row.name}: {row.note}", markup=False, highlight=False)
    console.print(machine, markup=False, highlight=False)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return "" if value is None else str(value)

"""`python -m benchmarks sequential [runs=2000] [pairs=100] [alpha=0.05]`: how often the sequential comparison of two
policies calls which one better, and after how many pairs of episodes, by simulation.

Fails where equal policies are told apart more often than alpha, beyond what chance explains.
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.command import number, require_used
from robo_rl.app.runs import write_json
from robo_rl.evaluate.sequential import error_rates

RATES = ((0.1, 0.1), (0.5, 0.5), (0.8, 0.8), (0.95, 0.95), (0.5, 0.6), (0.5, 0.7), (0.6, 0.9), (0.6, 0.95), (0.9, 0.6))
CHANCE = 3.0  # standard errors


def main(keys: dict[str, str], root: Path) -> int:
    """Exit code 1 where an error rate is too high."""
    runs, pairs = (int(number(keys, name, default)) for name, default in (("runs", 2000), ("pairs", 100)))
    alpha = number(keys, "alpha", 0.05)
    require_used(keys, "runs", "pairs", "alpha")
    rows = [{"first_rate": a, "second_rate": b, **error_rates(a, b, pairs, alpha, runs)} for a, b in RATES]
    table = Table(title=f"{runs} comparisons of at most {pairs} pairs, alpha {alpha}", title_justify="left")
    for name in ("rates", "first better", "second better", "undecided", "pairs, mean"):
        table.add_column(name)
    for row in rows:
        shares = [f"{100 * row[name]:.1f} %" for name in ("first", "second", "undecided")]
        table.add_row(f"{row['first_rate']}, {row['second_rate']}", *shares, f"{row['pairs_mean']:.1f}")
    Console().print(table)
    write_json(root / "sequential.json", {"runs": runs, "pairs": pairs, "alpha": alpha, "rows": rows})
    most = alpha + CHANCE * sqrt(alpha * (1 - alpha) / runs)
    return int(any(row["first"] + row["second"] > most for row in rows if row["first_rate"] == row["second_rate"]))

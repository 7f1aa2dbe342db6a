"""The size budget: no function over 60 lines, 90th percentile at most 26, the loop under 40 lines of code.

Files over 300 lines are reported. Functions of test files count for the maximum only.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("robo_rl", "sim", "policies", "hardware", "configs", "benchmarks", "tools")
MAX_FUNCTION, MAX_P90, MAX_FILE, MAX_LOOP = 60, 26, 300, 40


def functions(path: Path) -> Iterator[tuple[int, str]]:
    """(lines, place) of every function in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{path.relative_to(ROOT)}:{node.name}"


def code_lines(path: Path) -> int:
    """Lines that are neither blank nor comment."""
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in path.read_text().splitlines())


def main() -> int:
    sources = [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py"))]
    tests = sorted((ROOT / "tests").rglob("*.py"))
    lengths = sorted(item for path in sources for item in functions(path))
    every = lengths + [item for path in tests for item in functions(path)]
    p90 = lengths[int(0.9 * (len(lengths) - 1))][0]
    loop = code_lines(ROOT / "robo_rl" / "loop.py")
    problems = [f"{place}: {lines} lines (at most {MAX_FUNCTION})" for lines, place in every if lines > MAX_FUNCTION]
    problems += [f"90th percentile of function length is {p90} (at most {MAX_P90})"] if p90 > MAX_P90 else []
    problems += [f"robo_rl/loop.py: {loop} lines of code (under {MAX_LOOP})"] if loop >= MAX_LOOP else []
    for path in sources:
        if (lines := len(path.read_text().splitlines())) > MAX_FILE:
            print(f"note: {path.relative_to(ROOT)} has {lines} lines (near {MAX_FILE} at most)")
    print(f"{len(lengths)} functions: p90 {p90}, longest {lengths[-1][0]} lines; loop.py {loop} lines of code")
    print("\n".join(problems), file=sys.stderr) if problems else None
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

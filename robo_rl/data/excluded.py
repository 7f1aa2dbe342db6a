"""Episodes that a dataset leaves out although its logs hold them: a log is never written to again.

`excluded.json` beside `dataset.json`: {"format": 1, "excluded": {"log/record-row000.mcap": [2, 5]}}, numbers of
episodes in their file, from 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robo_rl.errors import CorruptFile

FILE = "excluded.json"


def excluded(log: Path) -> frozenset[int]:
    """Numbers of the episodes of one log that its dataset, the folder it is in or the one above, leaves out."""
    for folder in (log.parent, log.parent.parent):
        if (folder / FILE).is_file():
            return read_excluded(folder).get(log.relative_to(folder).as_posix(), frozenset())
    return frozenset()


def read_excluded(folder: Path) -> dict[str, frozenset[int]]:
    """Left out episodes by log; raises `CorruptFile`."""
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        data: Mapping[str, Any] = json.loads(path.read_bytes())["excluded"]
        return {str(name): frozenset(int(number) for number in numbers) for name, numbers in data.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{path}: damaged: {error}") from error


def write_excluded(folder: Path, by_log: Mapping[str, frozenset[int]]) -> None:
    """Replace the file; atomically."""
    content = {name: sorted(numbers) for name, numbers in sorted(by_log.items()) if numbers}
    partial = (folder / FILE).with_suffix(".partial")
    partial.write_text(json.dumps({"format": 1, "excluded": content}, indent=1) + "\n")
    partial.replace(folder / FILE)

"""`python -m benchmarks learners [hours=2] [parts=residual,tuning,others,ablation] [venv=FOLDER]`: what is missing.

Runs are done one after the other, on one core each; start the command twice to use two cores: no run is done by both.
A run whose file lies in benchmarks/learners/runs/ is skipped, one that was interrupted goes on from its checkpoint, and
no run is begun when `hours` processor hours are spent. benchmarks/learners.json, learners.md and learners.png are
written after every run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.command import alone, number, require_used
from benchmarks.learners import plan as plans
from benchmarks.learners.curves import draw
from benchmarks.learners.perform import perform, spent_s
from benchmarks.learners.plan import Wanted
from benchmarks.learners.summary import groups_of, page
from robo_rl.app.runs import write_json, write_text
from robo_rl.errors import UnknownName

HERE = Path(__file__).parent
RUNS, JSON, PAGE = HERE / "runs", HERE.parent / "learners.json", HERE.parent / "learners.md"
PICTURE = HERE.parent / "learners.png"
TUNING = "tuning"


def main(keys: dict[str, str], root: Path) -> int:
    """0; see the module."""
    plan = plans.load()
    known = [TUNING, *plan["parts"]]
    hours = number(keys, "hours", 1000.0)
    parts = keys.pop("parts", ",".join(known)).split(",")
    venv = Path(keys.pop("venv", str(root / "metaworld" / "venv")))
    require_used(keys, "hours", "parts", "venv")
    for name in parts:
        if name not in known:
            raise UnknownName("parts", name, known)
    for wanted in missing(plan, parts, root / "learners"):
        if spent_s() > hours * 3600:
            print(f"learners: {hours:g} processor hours are spent; the same command goes on")
            break
        print(f"learners: {wanted.part} {wanted.run}", flush=True)
        row = perform(wanted.run, (root / "learners").absolute(), venv)
        write_json(RUNS / f"{wanted.run.key}.json", row)
        _summarise_alone(plan, root)
    _summarise_alone(plan, root)
    print(PAGE)
    return 0


def _summarise_alone(plan: dict[str, Any], root: Path) -> None:
    with alone(root / "learners" / "page.lock", wait=True):
        summarise(plan)


def found() -> dict[str, dict[str, Any]]:
    """Rows of the runs that are done, by key."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RUNS.glob("*.json"))}


def everything(plan: dict[str, Any], parts: list[str], rows: dict[str, dict[str, Any]]) -> list[Wanted]:
    """The runs of some parts, as far as they are known: those of a method wait for its tuning."""
    chosen = plans.choose(plan, rows)
    waits = {method for method, about in plan["methods"].items() if about.get("choices") and method not in chosen}
    wanted = [one for name in parts if name != TUNING for one in plans.part(plan, name, chosen)]
    tuning = list(plans.tuning(plan)) if TUNING in parts else []
    return tuning + [one for one in wanted if one.run.method not in waits]


def missing(plan: dict[str, Any], parts: list[str], locks: Path) -> Iterator[Wanted]:
    """Runs without a file that nobody else is at, in the order of `parts`; looked for again after every run."""
    for name in parts:
        busy: set[str] = set()
        while True:
            rows = found()
            everyone = [one for one in everything(plan, [name], rows) if one.run.key not in rows]
            left = next((one for one in everyone if one.run.key not in busy), None)
            if left is None:
                break
            with alone(locks / f"{left.run.key}.lock") as mine:
                if mine and left.run.key not in found():
                    yield left
            busy |= set() if mine else {left.run.key}


def summarise(plan: dict[str, Any]) -> None:
    """learners.json, learners.md and learners.png from what is there."""
    rows, known = found(), [TUNING, *plan["parts"]]
    wanted = everything(plan, known, rows)
    labelled = [
        {"part": one.part, "variant": one.variant, "run": one.run.key, **rows[one.run.key]}
        for one in wanted
        if one.run.key in rows
    ]
    write_json(JSON, labelled)
    if groups := groups_of(labelled, "residual", "others"):
        draw(groups, plan["steps"], PICTURE)
    write_text(PAGE, page(plan, labelled, len(wanted)))

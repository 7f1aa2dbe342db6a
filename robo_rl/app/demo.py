"""The whole way in one go, with the project's own commands: demonstrations, clone, residual, deployment, replay.

Run by `make demo`; leaves everything under build/demo/ and a summary in build/demo/summary.json.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from robo_rl.app.figure import draw
from robo_rl.app.runs import write_json
from robo_rl.app.session import rate, show
from robo_rl.evaluate.statistics import paired_by_seed

ROOT = Path("build/demo")
DEMONSTRATIONS = 50
EPISODES = 200  # of each evaluation
STEPS = 150_000  # environment steps of the residual


def commands(root: Path) -> Iterator[list[str]]:
    """Command lines, in order."""
    evaluate = ["evaluate", f"episodes={EPISODES}", "seed=0"]
    yield ["record", f"episodes={DEMONSTRATIONS}", f"out={root / 'dataset'}"]
    yield ["train", "learner=bc", f"dataset={root / 'dataset'}", f"out={root / 'base'}"]
    yield [*evaluate, f"run={root / 'base'}", f"out={root / 'base/evaluate'}"]
    yield [
        "train", "learner=residual", f"base={root / 'base'}", f"dataset={root / 'dataset'}",
        f"learner.online.steps={STEPS}", f"out={root / 'residual'}",
    ]  # fmt: skip
    yield [*evaluate, f"run={root / 'residual'}", f"out={root / 'residual/evaluate'}"]
    yield ["deploy", f"run={root / 'residual'}", "episodes=5", "video=true", f"out={root / 'deploy'}"]
    yield ["replay", f"log={root / 'deploy/log'}", "mode=actions", f"out={root / 'replay'}"]


def summarise(root: Path, seconds: float, install: float | None) -> dict[str, Any]:
    """The results of all commands, and the residual's gain on the seeds that both policies ran."""
    places = {"base": "base/evaluate", "residual": "residual/evaluate", "deploy": "deploy", "replay": "replay"}
    results = {name: json.loads((root / place / "result.json").read_text()) for name, place in places.items()}
    difference = paired_by_seed(results["base"]["rows"], results["residual"]["rows"])
    return results | {"paired_difference": difference.to_json(), "wall_clock_s": seconds, "install_s": install}


def main() -> int:
    """Run everything; the first command that fails ends it with its exit code."""
    shutil.rmtree(ROOT, ignore_errors=True)
    start = time.monotonic()
    for arguments in commands(ROOT):
        print(f"$ robo-rl {' '.join(arguments)}", flush=True)
        code = subprocess.run([sys.executable, "-m", "robo_rl.app.main", *arguments], check=False).returncode
        if code != 0:
            print(f"demo: robo-rl {arguments[0]} failed with exit code {code}", file=sys.stderr)
            return code
    install = os.environ.get("ROBO_RL_INSTALL_S")
    summary = summarise(ROOT, time.monotonic() - start, float(install) if install else None)
    write_json(ROOT / "summary.json", summary)
    draw(ROOT, ROOT / "demo.png")
    gain, deploy = summary["paired_difference"], summary["deploy"]
    rows = [
        ("base policy", rate(summary["base"])),
        ("with residual", rate(summary["residual"])),
        (
            "difference, same seeds",
            f"{gain['mean']:+.1%} (95 % interval {gain['ci_low']:+.1%} to {gain['ci_high']:+.1%})",
        ),
        ("deployed at", f"{deploy['rate_hz']:.1f} Hz, {deploy['deadline_misses']} deadlines missed"),
        ("its log, replayed", "identical" if summary["replay"]["identical"] else "not identical"),
        ("wall clock", f"{summary['wall_clock_s']:.0f} s"),
        ("summary", ROOT / "summary.json"),
        ("picture", ROOT / "demo.png"),
    ]
    show("demo", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

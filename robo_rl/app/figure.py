"""The demo's picture: what the residual did to the success rate, and the robot doing the task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

MOMENTS = (0.03, 0.3, 0.62, 0.97)  # of the first deployed episode


def draw(root: Path, path: Path) -> None:
    """Picture of a finished demo under `root`: learning curve above, frames of the deployed video below."""
    from matplotlib import pyplot

    frames = moments(root / "deploy" / "video.mp4", root / "deploy" / "result.json")
    figure = pyplot.figure(figsize=(9, 6.2 if frames else 3.6), constrained_layout=True)
    grid = figure.add_gridspec(2 if frames else 1, len(MOMENTS), height_ratios=[1.35, 1] if frames else None)
    _curve(figure.add_subplot(grid[0, :]), json.loads((root / "summary.json").read_text()), _result(root / "residual"))
    for column, frame in enumerate(frames):
        axes = figure.add_subplot(grid[1, column])
        axes.imshow(frame)
        axes.axis("off")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def moments(video: Path, result: Path) -> list[np.ndarray]:
    """Frames (H, W, 3) uint8 of the first episode; none where there is no video."""
    if not video.exists():
        return []
    length = json.loads(result.read_text())["rows"][0]["length"]
    capture, frames = cv2.VideoCapture(str(video)), []
    for share in MOMENTS:
        capture.set(cv2.CAP_PROP_POS_FRAMES, round(share * length))
        found, frame = capture.read()
        if found:
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    return frames


def _curve(axes: Any, summary: dict[str, Any], trained: dict[str, Any]) -> None:
    """Success on the selection seeds while it learned; both policies on the report seeds, with their intervals."""
    history = trained["history"]
    axes.plot([r["env_steps"] for r in history], [r["success"] for r in history], "o-", color="#1b6ca8", ms=4,
              label="while learning (selection seeds)")  # fmt: skip
    for name, colour in (("base", "#b5651d"), ("residual", "#2e7d32")):
        result = summary[name]
        label = f"{name}: {result['success_rate']:.1%} of {result['episodes']} report seeds"
        axes.axhline(result["success_rate"], color=colour, lw=1.5, ls="--", label=label)
        axes.axhspan(result["ci_low"], result["ci_high"], color=colour, alpha=0.12, lw=0)
    axes.set(xlabel="environment steps, warm-up included", ylabel="success rate", ylim=(0, 1.02), xlim=(0, None))
    axes.set_title(f"{summary['residual']['task']}: cloned base, then with a learned residual", fontsize=10)
    axes.legend(loc="lower right", fontsize=8)
    axes.grid(alpha=0.25)


def _result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())

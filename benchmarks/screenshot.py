"""`python -m benchmarks screenshot`: docs/report.jpg, a report in a headless Chromium, on a desk and on a phone.

The report compares the default task's expert with one whose hand shakes, on equal seeds, with two cameras; it lies in
build/screenshot/.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from benchmarks.command import require_used
from robo_rl.app.main import main as robo_rl
from robo_rl.errors import UserError

CAMERAS = "task.rig.cameras=[front,wrist]"
RUNS = {"steady": ("noise=0.0",), "shaking": ("noise=0.12",)}
HEIGHT = 1500  # [px]
VIEWS: tuple[tuple[int, Literal["light", "dark"]], ...] = ((1100, "light"), (390, "dark"))  # width [px], colours
PLACES = ("chromium", "chromium-browser", "google-chrome")


def make(root: Path) -> Path:
    """The report's page."""
    shutil.rmtree(root, ignore_errors=True)
    for name, options in RUNS.items():
        run("record", "episodes=4", "n=4", CAMERAS, *options, f"out={root / name}")
    inputs = ",".join(str(root / name) for name in RUNS)
    run("report", f"inputs=[{inputs}]", "episodes=4", "png=false", f"out={root / 'report'}")
    return root / "report" / "report.html"


def run(*arguments: str) -> None:
    if robo_rl(list(arguments)) != 0:
        raise UserError(f"screenshot: robo-rl {' '.join(arguments)} failed")


def shoot(page: Path) -> np.ndarray:
    """The page as it looks in all views, side by side, scrolled to its episodes."""
    from playwright.sync_api import sync_playwright

    place = next(filter(None, map(shutil.which, PLACES)), None)
    shots = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=place, args=["--no-sandbox"])
        for width, colours in VIEWS:
            tab = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=colours)
            tab.goto(page.resolve().as_uri())
            tab.evaluate("document.querySelector('#episodes').scrollIntoView()")
            tab.wait_for_timeout(1500)  # a video's first picture
            shots.append(cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR))
        browser.close()
    return np.concatenate(shots, axis=1)


def main(keys: dict[str, str], root: Path) -> int:
    """Write docs/report.jpg."""
    require_used(keys)
    target = Path("docs/report.jpg")
    cv2.imwrite(str(target), shoot(make(root / "screenshot")), [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(target)
    return 0

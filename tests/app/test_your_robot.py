"""The robot of docs/your_robot.md, installed as the page says, is driven."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your_robot.md").read_text()
BLOCK, NAME = (
    re.compile(r"^```(?!bash)\w+\n(.*?)^```", re.DOTALL | re.MULTILINE),
    re.compile(r"^`([\w/.]+)`", re.MULTILINE),
)
MOST = 150  # lines that a third party has to write


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, and what an installer leaves beside it."""
    folder = tmp_path_factory.mktemp("site")
    blocks = BLOCK.finditer(PAGE)
    files = {NAME.findall(PAGE, 0, block.start())[-1]: block[1] for block in blocks}
    assert set(files) == {
        "pyproject.toml", "toyarm/description/toyarm.yaml", "toyarm/driver.py", "toyarm/robot/toyarm.yaml"
    }  # fmt: skip
    assert sum(len(text.splitlines()) for text in files.values()) < MOST
    for name, text in {**files, "toyarm/__init__.py": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    points = re.findall(r'\[project\.entry-points\."(.*?)"\]\n(\w+) = "(\w+)"', files["pyproject.toml"])
    about = folder / "toyarm-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toyarm\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("".join(f"[{group}]\n{name} = {to}\n" for group, name, to in points))
    return folder


def robo_rl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}"}
    command = [sys.executable, "-m", "robo_rl.app.main", *words]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_it_comes_home(installed: Path, tmp_path: Path) -> None:
    done = robo_rl(installed, "home", "robot=toyarm", "robot.bus=here", "seconds=60.0", f"out={tmp_path}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["joint_position"] == pytest.approx({"base": 0.2, "elbow": 0.8}, abs=0.01)
    assert found["seconds"] > 0.3 and "SCHED_FIFO" in done.stdout  # it ramped, in a process of its own


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("robot=toyarm",), "robot.bus=: the toy arm needs a port"),
        (("robot=toyarm", "robot.bus=nowhere"), "robot.bus=nowhere: no such port; is the cable in?"),
        (("robot=toyarn",), "toyarm"),
    ],
)
def test_what_is_wrong_is_said(installed: Path, words: tuple[str, ...], error: str) -> None:
    done = robo_rl(installed, "home", *words)
    assert done.returncode == 2 and error in done.stderr and "Traceback" not in done.stderr

"""The space bar in a real terminal stops a deployment on the emulated arm."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from robo_rl.errors import CorruptFile
from robo_rl.log.reader import read_log
from tests.app.test_so101 import EMULATED

SOON = 300.0  # [s] for a program to start, however busy the machine is


@pytest.fixture
def keyboard() -> Iterator[tuple[int, int]]:
    """The hand's and the program's end of a terminal."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def runs(folder: Path) -> bool:
    """Whether a log in the folder shows an episode's ticks: the arm has come home by then."""
    with contextlib.suppress(CorruptFile):  # its head is being written
        return any(len(episode) for path in folder.glob("*.mcap") for episode in read_log(path).episodes)
    return False


def test_the_space_bar_is_a_fault_that_ends_the_run(run_folder: Path, tmp_path: Path, keyboard) -> None:
    hand, terminal = keyboard
    out = tmp_path / "out"
    command = [sys.executable, "-m", "robo_rl.app.main", "deploy", f"run={run_folder}", *EMULATED, f"out={out}"]
    with open(tmp_path / "said", "w+") as said:
        program = subprocess.Popen([*command, "episodes=9"], stdin=terminal, stdout=said, stderr=said)
        try:
            end = time.monotonic() + SOON
            while not runs(out / "log"):
                assert program.poll() is None and time.monotonic() < end, (tmp_path / "said").read_text()
                time.sleep(0.2)
            os.write(hand, b"x ")  # another key does nothing
            code = program.wait(SOON)
        finally:
            program.kill()
    text = (tmp_path / "said").read_text()
    assert code == 2 and "space stops the robot" in text and "Traceback" not in text
    assert "robot=so101: a fault ended the run: so101: somebody pressed space" in " ".join(text.split())
    result = json.loads((out / "result.json").read_text())
    assert result["faults"] == 1 and result["rows"][-1]["reason"] == "fault" and result["episodes"] < 9

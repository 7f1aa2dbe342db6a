"""Shared by the command line's tests: running commands in this process, a small run and a small dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from robo_rl.app.main import main
from robo_rl.app.rendering import choose_backend
from tests.app.support import make_bundle

choose_backend()

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def robo_rl(capsys: pytest.CaptureFixture[str]) -> Run:
    """robo_rl("record", "episodes=1", ...) -> exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recorded demonstrations."""
    folder = tmp_path_factory.mktemp("dataset") / "demonstrations"
    assert main(["record", "episodes=3", "n=3", f"out={folder}"]) == 0
    return folder

"""Folders that are replaced as one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace a folder by one with these files; `whole` gives the old or the new one, whenever this was killed."""
    fresh, old = folder.with_name(folder.name + ".new"), _former(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    if folder.exists():  # or else the old one is all there is
        shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, content in files.items():
        with open(fresh / name, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def whole(folder: Path, name: str) -> Path | None:
    """Where a folder lies that was written with a file of this name: there, or where a kill left it; None where none
    was written."""
    return next((place for place in (folder, _former(folder)) if (place / name).exists()), None)


def _former(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old")

"""Commands of this command line as steps of a longer way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from robo_rl.app.main import INTERRUPTED, main
from robo_rl.errors import UserError
from robo_rl.folders import whole


def step(folder: Path, *arguments: str) -> dict[str, Any]:
    """The result of a command that writes `folder`, which is run unless its result is there.

    One that was cut off goes on from its checkpoint; without one it begins again. Raises `UserError` where it fails.
    """
    result = folder / "result.json"
    if not result.exists():
        resume = ["resume=true"] if whole(folder / "checkpoint", "progress.json") else []
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        typed = [*arguments, f"out={folder}", *resume]
        print(f"$ robo-rl {' '.join(typed)}", flush=True)
        code = main(typed)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise UserError(f"robo-rl {arguments[0]} failed with exit code {code}; what was done before stays")
    return json.loads(result.read_text())

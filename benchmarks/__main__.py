"""`python -m benchmarks [pipeline] [update] [tick] [cameras]`, or `pacing` / `kill` with keys; see --help."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import rows
from robo_rl.app.rendering import choose_backend
from robo_rl.errors import UnknownName, UserError

HELP = """python -m benchmarks                      measure everything, write build/bench.json
python -m benchmarks pipeline|update|tick|cameras  some of it, write build/bench-<names>.json
python -m benchmarks pacing [seconds=60] [run=FOLDER]   deploy's cadence beside a bare loop's, write build/pacing.json
python -m benchmarks kill [times=20] [seed=0]           kill commands at random moments, write build/kill.json
python -m benchmarks logging [seconds=60]               what recording costs a 500 Hz loop, write build/logging.json
python -m benchmarks killrecorder [times=150]           kill a 500 Hz loop or its recorder, write kill_recorder.json
python -m benchmarks killrobot [robot=so101] [times=300]  kill a robot's processes, write build/kill_robot.json
python -m benchmarks hostile [ticks=1000000] [seed=0]   a hostile policy against the guard, write build/hostile.json
python -m benchmarks longlog [gigabytes=2]              indexing a cut log of hours, write build/long_log.json
python -m benchmarks fuzz run=FOLDER log=FILE [files=10000]  mutated logs and bundles, write build/fuzz.json
python -m benchmarks randomwalk [episodes=1000] [task=NAME]  random actions break no task, write build/randomwalk.json
python -m benchmarks sysid [run=FOLDER]                 a simulation fitted to another, write benchmarks/sysid.json
python -m benchmarks learners [hours=H] [parts=...]     learners beside each other, write benchmarks/learners.md"""
ROOT = Path("build")


MEASURED = ("pipeline", "update", "tick", "cameras")  # modules with a `measure`, whose rows make bench.json
TOOLS = {  # commands with keys, by the module whose `main` they are
    "pacing": "pacing",
    "kill": "kill",
    "logging": "logging_cost",
    "killrecorder": "logging_kill",
    "killrobot": "killrobot",
    "hostile": "hostile",
    "longlog": "logging_size",
    "fuzz": "fuzz",
    "randomwalk": "randomwalk",
    "sysid": "sysid",
    "learners": "learners.command",
}


def _module(name: str) -> Any:
    """Imported when it is asked for: each takes its own seconds."""
    return importlib.import_module(f"benchmarks.{name}")


def measure(names: Sequence[str]) -> int:
    """Measure what `names` say, everything where there is none."""
    for name in names:
        if name not in MEASURED:
            raise UnknownName("benchmarks", name, [*MEASURED, *TOOLS])
    machine, found = rows.measured_on(), []
    for name in MEASURED:
        if not names or name in names:
            print(f"benchmarks: {name} ...", file=sys.stderr, flush=True)
            found += _module(name).measure()
    path = ROOT / ("bench.json" if not names else f"bench-{'-'.join(names)}.json")
    rows.write(path, found, machine)
    rows.show(found, machine)
    print(path)
    return 0


def keys_of(arguments: Sequence[str]) -> dict[str, str]:
    """key=value arguments."""
    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"{argument}: expected key=value; see python -m benchmarks --help")
    return dict(argument.split("=", 1) for argument in arguments)


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 done, 1 a check failed, 2 the user's mistake, 130 interrupted."""
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return 0
    choose_backend()
    try:
        if arguments and arguments[0] in TOOLS:
            return _module(TOOLS[arguments[0]]).main(keys_of(arguments[1:]), ROOT)
        return measure(arguments)
    except UserError as error:
        print(f"benchmarks: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

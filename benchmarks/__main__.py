"""`python -m benchmarks [pipeline] [update] ...` measures, `pacing` / `kill` / ... take keys; see --help."""

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
python -m benchmarks pipeline|simulated|update|tick|cameras  some of it, write build/bench-<names>.json
python -m benchmarks pacing [seconds=60] [run=FOLDER] [robot=so101]  deploy's cadence, write build/pacing.json
python -m benchmarks wakeups [seconds=20]               wake-ups beside busy processes, write build/wakeups.json
python -m benchmarks kill [times=20] [seed=0]           kill commands at random moments, write build/kill.json
python -m benchmarks logging [seconds=60] [cameras=2]   what recording costs a 500 Hz loop, write build/logging.json
python -m benchmarks killrecorder [times=300]           kill a 500 Hz loop or its recorder, write kill_recorder.json
python -m benchmarks killrobot [robot=so101] [times=300]  kill a robot's processes, write build/kill_ROBOT.json
python -m benchmarks lossy [robot=so101] [seconds=600]  a bus that loses packets, write build/lossy_ROBOT.json
python -m benchmarks go2dds [seconds=120] [run=FOLDER]  the Go2 walks through DDS, write build/go2_dds.json
python -m benchmarks hostile [ticks=1000000] [seed=0]   a hostile policy against the guard, write build/hostile.json
python -m benchmarks longlog [gigabytes=2]              indexing a cut log of hours, write build/long_log.json
python -m benchmarks fuzz run=FOLDER log=FILE [files=10000]  mutated logs and bundles, write build/fuzz.json
python -m benchmarks randomwalk [episodes=1000] [task=NAME]  random actions break no task, write build/randomwalk.json
python -m benchmarks gait [run=FOLDER] [seconds=60]     the Go2 follows commands for long, write build/gait.json
python -m benchmarks replays [episodes=10] [task=NAME]  logs of all tasks happen again, write build/replays.json
python -m benchmarks screenshot                         a report in a browser, write docs/report.jpg
python -m benchmarks sysid [run=FOLDER]                 a simulation fitted to another, write benchmarks/sysid.json
python -m benchmarks learners [hours=H] [parts=...]     learners beside each other, write benchmarks/learners.md
python -m benchmarks returns [env_id=HalfCheetah-v5] [seeds=3]  SAC beside SB3's, write build/returns.json
python -m benchmarks sequential [runs=2000] [pairs=100] error rates of compare=, write build/sequential.json
python -m benchmarks ope [pool=tuning|report]           policies judged by others' logs, write benchmarks/ope.json"""
ROOT = Path("build")


MEASURED = ("pipeline", "simulated", "update", "tick", "cameras")  # modules with a `measure`, for bench.json
TOOLS = {  # commands with keys, by the module whose `main` they are
    "pacing": "pacing",
    "wakeups": "wakeups",
    "kill": "kill",
    "logging": "logging_cost",
    "killrecorder": "logging_kill",
    "killrobot": "killrobot",
    "lossy": "lossy",
    "go2dds": "go2dds",
    "hostile": "hostile",
    "longlog": "logging_size",
    "fuzz": "fuzz",
    "randomwalk": "randomwalk",
    "gait": "gait",
    "replays": "replays",
    "screenshot": "screenshot",
    "sysid": "sysid",
    "ope": "ope",
    "sequential": "sequential",
    "learners": "learners.command",
    "returns": "returns",
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

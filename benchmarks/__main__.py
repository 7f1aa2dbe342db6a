"""`python -m benchmarks [pipeline] [update] [tick]`, or `pacing` / `kill` with keys; see --help."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import rows
from robo_rl.app.rendering import choose_backend
from robo_rl.errors import UnknownName, UserError

HELP = """python -m benchmarks                      measure everything, write build/bench.json
python -m benchmarks pipeline|update|tick   some of it, write build/bench-<names>.json
python -m benchmarks pacing [seconds=60] [run=FOLDER]   deploy's cadence beside a bare loop's, write build/pacing.json
python -m benchmarks kill [times=20] [seed=0]           kill commands at random moments, write build/kill.json
python -m benchmarks logging [seconds=60]               what recording costs a 500 Hz loop, write build/logging.json
python -m benchmarks killrecorder [times=150]           kill a 500 Hz loop or its recorder, write kill_recorder.json
python -m benchmarks longlog [gigabytes=2]              indexing a cut log of hours, write build/long_log.json
python -m benchmarks fuzz run=FOLDER log=FILE [files=10000]  mutated logs and bundles, write build/fuzz.json"""
ROOT = Path("build")


def _pipeline() -> list[rows.Row]:
    from benchmarks import pipeline

    return pipeline.measure()


def _update() -> list[rows.Row]:
    from benchmarks import update

    return update.measure()


def _tick() -> list[rows.Row]:
    from benchmarks import tick

    return tick.measure()


def _pacing(keys: dict[str, str]) -> int:
    from benchmarks import pacing

    return pacing.main(keys, ROOT)


def _kill(keys: dict[str, str]) -> int:
    from benchmarks import kill

    return kill.main(keys, ROOT)


def _logging(keys: dict[str, str]) -> int:
    from benchmarks import logging_cost

    return logging_cost.main(keys, ROOT)


def _killrecorder(keys: dict[str, str]) -> int:
    from benchmarks import logging_kill

    return logging_kill.main(keys, ROOT)


def _longlog(keys: dict[str, str]) -> int:
    from benchmarks import logging_size

    return logging_size.main(keys, ROOT)


def _fuzz(keys: dict[str, str]) -> int:
    from benchmarks import fuzz

    return fuzz.main(keys, ROOT)


MEASURED: dict[str, Callable[[], list[rows.Row]]] = {"pipeline": _pipeline, "update": _update, "tick": _tick}
TOOLS: dict[str, Callable[[dict[str, str]], int]] = {"pacing": _pacing, "kill": _kill, "logging": _logging} | {
    "killrecorder": _killrecorder,
    "longlog": _longlog,
    "fuzz": _fuzz,
}


def measure(names: Sequence[str]) -> int:
    """Measure what `names` say, everything where there is none."""
    for name in names:
        if name not in MEASURED:
            raise UnknownName("benchmarks", name, [*MEASURED, *TOOLS])
    machine, found = rows.measured_on(), []
    for name, function in MEASURED.items():
        if not names or name in names:
            print(f"benchmarks: {name} ...", file=sys.stderr, flush=True)
            found += function()
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
            return TOOLS[arguments[0]](keys_of(arguments[1:]))
        return measure(arguments)
    except UserError as error:
        print(f"benchmarks: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The command line: `robo-rl COMMAND key=value ...`."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from robo_rl.app import help as helps
from robo_rl.app.rendering import choose_backend
from robo_rl.errors import UserError, mistake_in

INTERRUPTED = 130
HELP = ("-h", "--help")
MULTIRUN = ("-m", "--multirun")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0: it did the job; 2: the user's mistake, told in one line; 130: interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except UserError as error:
        print(f"robo-rl: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("robo-rl: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in HELP:
        print(helps.overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"robo-rl {version('robo-rl')}")
        return 0
    command, *rest = arguments
    if command not in helps.commands():
        close = difflib.get_close_matches(command, helps.commands(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UserError(f"{command}: unknown command; {hint}commands: {', '.join(helps.commands())}")
    if any(argument in HELP for argument in rest):
        print(helps.describe(command, [argument for argument in rest if argument not in HELP]))
        return 0
    if set(rest) & set(MULTIRUN):
        return _search(command, [argument for argument in rest if argument not in MULTIRUN])
    return _run(command, rest)


def _search(command: str, arguments: list[str]) -> int:
    if command != "train":
        raise UserError(f"{command} -m: only train runs many times with other values")
    choose_backend()
    return importlib.import_module("robo_rl.app.search").main(arguments)


def _run(command: str, arguments: list[str]) -> int:
    choose_backend()
    from robo_rl.app.compose import compose

    module = importlib.import_module(f"robo_rl.app.{command}")
    config = compose(command, arguments, getattr(module, "implied", None))
    try:
        module.main(config)
    except Exception as error:  # a user's mistake may have been found while Hydra was building an object
        if (cause := mistake_in(error)) is not None:
            raise cause from None
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Print shell exports that hand pip's configuration (files and environment) on to uv, which reads neither."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys

OTHER_NAMES = {"cert": "SSL_CERT_FILE", "default-timeout": "UV_HTTP_TIMEOUT"}


def variable(option: str) -> str | None:
    """uv's variable for a pip option. Where packages are looked for, uv knows by pip's own name."""
    if option == "find-links" or "index-" in option:
        return "UV_" + option.upper().replace("-", "_")
    return OTHER_NAMES.get(option)


def settings() -> dict[str, str]:
    """pip's options by name; the environment wins over files, as in pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    files: dict[str, str] = {}
    environment: dict[str, str] = {}
    for name, _, value in (line.partition("=") for line in lines):
        section, _, option = name.rpartition(".")
        (environment if section == ":env:" else files)[option] = str(ast.literal_eval(value))
    return files | environment


def main() -> None:
    found = {option: value for option, value in settings().items() if value and variable(option)}
    for option, value in found.items():
        separator = "," if option == "find-links" else " "
        print(f"export {variable(option)}={shlex.quote(separator.join(value.split()))}")
    if any(option.startswith("extra-") for option in found):
        # pip looks at every index; uv by default stops at the first that has the name
        print("export UV_INDEX_STRATEGY=unsafe-best-match")


if __name__ == "__main__":
    main()

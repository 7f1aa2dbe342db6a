"""Print shell exports that hand pip's configuration (files and environment) on to uv, which reads neither."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys

VARIABLES = {
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "cert": "SSL_CERT_FILE",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


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
    found = settings()
    for option, variable in VARIABLES.items():
        if found.get(option):
            separator = "," if option == "find-links" else " "
            print(f"export {variable}={shlex.quote(separator.join(found[option].split()))}")
    if "extra-index-url" in found:  # pip looks at every index; uv by default stops at the first that has the name
        print("export UV_INDEX_STRATEGY=unsafe-best-match")


if __name__ == "__main__":
    main()

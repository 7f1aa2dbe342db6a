"""What `--help` prints: the comments of the YAML files, so that an option is explained where it is defined."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
ORDER = ("record", "train", "evaluate", "deploy", "replay", "report", "view", "doctor")
KEY = re.compile(r"^(?:  ?- )?(?P<key>\w+):(?:\s+(?P<value>.*?))?(?:\s+#\s*(?P<comment>.*))?$")
CONTINUED = re.compile(r"^\s+#\s*(?P<comment>.*)$")


def commands() -> list[str]:
    """Commands, in the order of their use: one YAML file each."""
    names = [path.stem for path in CONFIGS.glob("*.yaml")]
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def overview() -> str:
    """`robo-rl --help`."""
    lines = ["usage: robo-rl COMMAND key=value ...", "", "commands:"]
    width = 2 + max(map(len, commands()))
    lines += [f"  {name:<{width}}{summary(name)}" for name in commands()]
    lines += ["", "`robo-rl COMMAND --help` lists a command's keys, defaults and choices."]
    lines += ["Values are Hydra overrides: lists as [a,b], nothing as null, true and false."]
    return "\n".join(lines)


def summary(command: str) -> str:
    """First sentence of the file's leading comment."""
    return _leading(_text(command)).split(". ")[0].rstrip(".")


def describe(command: str) -> str:
    """`robo-rl COMMAND --help`."""
    lines = [f"usage: robo-rl {command} key=value ...", "", _leading(_text(command)), "", "keys:"]
    for key, value, comment in entries(command):
        shown = f"{key}={value}"
        lines += [f"  {shown:<30} {comment}"] if len(shown) <= 30 else [f"  {shown}", f"  {'':<30} {comment}"]
        if valid := group_choices(key) if (CONFIGS / key).is_dir() else []:
            lines.append(f"  {'':<30} choices: {', '.join(valid)}")
    return "\n".join(lines)


def entries(command: str) -> list[tuple[str, str, str]]:
    """(key, default, explanation) of every top-level key, those of included files too."""
    found: dict[str, tuple[str, str, str]] = {}
    for name in [command, *_included(command)]:
        for key, value, comment in _entries(_text(name)):
            known = found.get(key, (key, value, ""))
            found[key] = (key, known[1], known[2] or comment)
    return list(found.values())


def group_choices(group: str) -> list[str]:
    """Configs of a group that ship with the project."""
    return sorted(
        path.relative_to(CONFIGS / group).with_suffix("").as_posix() for path in (CONFIGS / group).rglob("*.yaml")
    )


def _entries(text: str) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for line in text.splitlines():
        if (match := KEY.match(line)) and match["key"] != "defaults":
            found.append((match["key"], match["value"] or "", match["comment"] or ""))
        elif (match := CONTINUED.match(line)) and found:
            found[-1] = (*found[-1][:2], f"{found[-1][2]} {match['comment']}")
    return found


def _included(command: str) -> list[str]:
    """Files that the defaults list takes in as they are (not a choice)."""
    defaults = yaml.safe_load(_text(command)).get("defaults", [])
    return [item for item in defaults if isinstance(item, str) and item != "_self_"]


def _text(name: str) -> str:
    return (CONFIGS / f"{name}.yaml").read_text()


def _leading(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(line for line in lines if not line.startswith("@package"))

"""What `--help` prints: the comments of the YAML files, so that an option is explained where it is defined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from robo_rl.errors import UnknownName

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
ORDER = ("record", "train", "evaluate", "deploy", "replay", "report", "view", "doctor")
KEY = re.compile(r"^(?:  ?- )?(?P<key>\w+):(?:\s+(?P<value>.*?))?(?:\s+#\s*(?P<comment>.*))?$")
NESTED = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?:\s+(?P<value>[^#\s].*?))?(?:\s+#\s*(?P<comment>.*))?$")
PACKAGE = re.compile(r"^# @package (?P<name>\w+)$", re.MULTILINE)
HIDDEN = ("defaults", "needs", "resumes", "name", "keys", "_target_", "_partial_", "_recursive_")  # nobody's choice
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
    lines += [
        "",
        "`robo-rl COMMAND --help` lists a command's keys, defaults and choices; with a choice, e.g. learner=bc,",
    ]
    lines += ["the keys of that, too."]
    lines += ["Values are Hydra overrides: lists as [a,b], nothing as null, true and false."]
    return "\n".join(lines)


def summary(command: str) -> str:
    """First sentence of the file's leading comment."""
    return _leading(_text(command)).split(". ")[0].rstrip(".")


def describe(command: str, arguments: Sequence[str] = ()) -> str:
    """`robo-rl COMMAND [GROUP=CHOICE ...] --help`: the command's keys, and those of what was chosen."""
    lines = [f"usage: robo-rl {command} key=value ...", "", _leading(_text(command)), "", "keys:"]
    for key, value, comment in entries(command):
        lines += _line(f"{key}={value}", comment, 30)
        if valid := group_choices(key) if (CONFIGS / key).is_dir() else []:
            lines.append(f"  {'':<30} choices: {', '.join(valid)}")
    groups = {key for key, *_ in entries(command) if (CONFIGS / key).is_dir()}
    for group, _, choice in (argument.partition("=") for argument in arguments):
        if group in groups and choice:
            lines += ["", f"{group}={choice}: {_leading(_chosen(group, choice))}"]
            lines += [line for shown, comment in chosen_entries(group, choice) for line in _line(shown, comment, 44)]
    return "\n".join(lines)


def chosen_entries(group: str, choice: str) -> list[tuple[str, str]]:
    """(key=default, explanation) of every key of a group's config, those of included files too, dotted; a key that has
    keys of its own is shown without a value, where it is explained."""
    text = _chosen(group, choice)
    named = PACKAGE.search(text)
    defaults = (yaml.safe_load(text) or {}).get("defaults", [])
    included = [item for item in defaults if str(item).endswith("@_here_")]
    texts = [*(_text(item.removeprefix("/").removesuffix("@_here_")) for item in included), text]
    found: dict[str, tuple[str, str]] = {}
    for key, value, comment in (entry for part in texts for entry in _nested(part, named["name"] if named else group)):
        found[key] = (value, comment or found.get(key, ("", ""))[1])
    return [(f"{key}={value}" if value else key, note) for key, (value, note) in found.items() if value or note]


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


def _nested(text: str, package: str) -> Iterator[tuple[str, str, str]]:
    """(dotted key, value or "", explanation), in the order of the lines."""
    path: list[tuple[int, str]] = [(-1, package)]
    for match in filter(None, map(NESTED.match, text.splitlines())):
        indent = len(match["indent"])
        while path[-1][0] >= indent:
            path.pop()
        path.append((indent, match["key"]))
        if match["key"] not in HIDDEN:
            yield ".".join(name for _, name in path), match["value"] or "", match["comment"] or ""


def _line(shown: str, comment: str, width: int) -> list[str]:
    """In two columns; in two lines where the first one is too long."""
    if len(shown) <= width or not comment:
        return [f"  {shown:<{width}} {comment}".rstrip()]
    return [f"  {shown}", f"  {'':<{width}} {comment}"]


def _chosen(group: str, choice: str) -> str:
    """The file of a choice, of an installed plugin's, too. Raises `UnknownName`."""
    from robo_rl.app.compose import choices, config_folders  # Hydra takes a while

    for file in (folder / group / f"{choice}.yaml" for folder in config_folders()):
        if choice in choices(group) and file.is_file():
            return file.read_text()
    raise UnknownName(group, choice, choices(group))


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

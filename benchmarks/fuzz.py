"""Mutated logs, pictures and bundles: reading one ends in one line or in what is whole, never in a crash, a hang or
running code.

Each file is read by a child process with a limit on time and memory, many files a child, so that whatever breaks out of
Python shows, too. A file that would run code if it were unpickled or evaluated is among the mutations.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.command import number, require_used
from benchmarks.rows import measured_on
from robo_rl.app.runs import write_json
from robo_rl.errors import UserError
from robo_rl.log.images import FORMATS, encode
from robo_rl.spec import Feature

BATCH = 200  # files a child process
SLOW = 10.0  # [s] a file may take
MEMORY = 4 << 30  # bytes a child may allocate
PICTURE = Feature((24, 32, 3), "uint8")
PICKLE = b"\x80\x04cposix\nsystem\n(S'touch %s'\ntR."


def mutate(data: bytes, draw: random.Random, trap: Path) -> bytes:
    """One of several kinds of damage."""
    content = bytearray(data)
    at = draw.randrange(len(content))
    kind = draw.choice(("bits", "bytes", "cut", "insert", "repeat", "zeros", "length", "trap"))
    if kind == "bits":
        for _ in range(draw.randint(1, 8)):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif kind == "bytes":
        content[at : at + draw.randint(1, 64)] = draw.randbytes(draw.randint(1, 64))
    elif kind == "cut":
        del content[at:]
    elif kind == "insert":
        content[at:at] = draw.randbytes(draw.randint(1, 2000))
    elif kind == "repeat":
        content[at:at] = content[at : at + draw.randint(1, 5000)]
    elif kind == "zeros":
        content[at : at + 4096] = bytes(min(4096, len(content) - at))
    elif kind == "length":  # where lengths and sizes stand, a number that no file has
        content[at : at + 8] = draw.choice((b"\xff" * 8, (1 << 40).to_bytes(8, "little"), bytes(8)))
    else:
        content[at : at + 64] = PICKLE % str(trap).encode()
    return bytes(content)


def read(kind: str, path: Path) -> str:
    """What reading a file comes to: "read", "partial" or "refused"."""
    from robo_rl.errors import UserError

    try:
        return {"log": _read_log, "bundle": _read_bundle, "picture": _read_picture}[kind](path)
    except UserError as error:
        return "refused" if "\n" not in str(error) else f"several lines: {error}"


def _read_log(path: Path) -> str:
    from robo_rl.log.reader import pictures_of, read_log
    from robo_rl.log.recover import recover

    copy = path.with_suffix(".copy")
    copy.unlink(missing_ok=True)
    with contextlib.suppress(UserError):
        recover(path, copy)
    log = read_log(path)
    for episode in log.episodes:
        for _, pictures in pictures_of(episode):
            np.asarray(pictures)  # decodes all
    return "partial" if log.truncated else "read"


def _read_bundle(path: Path) -> str:
    from policies.bundle import load_bundle

    load_bundle(path)
    return "read"


def _read_picture(path: Path) -> str:
    """As a reader would, of whom no checksum keeps away what a log holds."""
    from robo_rl.log.images import Pictures

    np.asarray(Pictures(PICTURE, np.zeros(1, np.int64), str(path), {0: path.read_bytes()}))
    return "read"


def child(kind: str, folder: Path) -> None:
    """Read every file of a folder; one JSON line each, so that a crash names the file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for path in sorted(path for path in folder.glob("[0-9]*") if path.suffix != ".copy"):
        print(json.dumps([path.name, read(kind, path)]), flush=True)


def run(kind: str, folder: Path, files: int) -> Counter[str]:
    """Outcomes of a folder's files in a child process."""
    command = [sys.executable, "-m", "benchmarks.fuzz", kind, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 + files * SLOW, check=False)
    except subprocess.TimeoutExpired as error:
        return Counter({f"hang after {(error.stdout or b'')[-80:]!r}": 1})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = Counter(outcome for _, outcome in lines)
    if done.returncode != 0 or len(lines) != files:
        found[f"crash with {done.returncode} at file {len(lines)}: {done.stderr.strip()[-300:]}"] += 1
    return found


def fuzz(kind: str, source: Path, count: int, seed: int, prepare: Callable[[bytes, Path], None]) -> Counter[str]:
    """Outcomes of `count` mutations of a file; `prepare` writes one as what is read."""
    draw, found, data = random.Random(seed), Counter(), source.read_bytes()
    for start in range(0, count, BATCH):
        with tempfile.TemporaryDirectory() as place:
            folder, trap = Path(place), Path(place) / "trap"
            files = min(BATCH, count - start)
            for index in range(files):
                prepare(mutate(data, draw, trap), folder / f"{index:04d}")
            found += run(kind, folder, files)
            found["ran code"] += trap.exists()
    return +found


def good(found: Counter[str]) -> bool:
    return set(found) <= {"read", "partial", "refused"}


def bundle_with(bundle: Path, name: str) -> Callable[[bytes, Path], None]:
    """Writes a copy of a bundle in which one file is replaced."""

    def prepare(data: bytes, folder: Path) -> None:
        folder.mkdir()
        for path in bundle.iterdir():
            (folder / path.name).write_bytes(data if path.name == name else path.read_bytes())

    return prepare


def log_file(data: bytes, path: Path) -> None:
    """Writes a log."""
    path.with_suffix(".mcap").write_bytes(data)


def picture_file(data: bytes, path: Path) -> None:
    """Writes a compressed picture."""
    path.write_bytes(data)


def all_kinds(log: Path, bundle: Path, count: int, seed: int, folder: Path) -> dict[str, Counter[str]]:
    """Outcomes by file, printed as they come: half of the mutations are logs, the rest a bundle's two files, and
    pictures in two formats, made in `folder`."""
    found: dict[str, Counter[str]] = {}
    sources: dict[str, tuple[str, Path, Callable[[bytes, Path], None]]] = {"log": ("log", log, log_file)}
    for name in ("policy.json", "weights.safetensors"):
        sources[name] = ("bundle", bundle / name, bundle_with(bundle, name))
    for name in FORMATS:
        picture = np.random.default_rng(seed).integers(0, 255, PICTURE.shape).astype(np.uint8)
        (folder / name).write_bytes(encode(picture, name))
        sources[name] = ("picture", folder / name, picture_file)
    for name, (kind, source, prepare) in sources.items():
        found[name] = fuzz(kind, source, count // (2 if kind == "log" else 8), seed, prepare)
        print(name, dict(found[name]), flush=True)
    return found


def main(keys: dict[str, str], root: Path) -> int:
    """`fuzz files=10000 seed=0 run=FOLDER log=FILE`: print the outcomes, write fuzz.json; 1 when something broke."""
    count, seed = int(number(keys, "files", 10_000)), int(number(keys, "seed", 1))
    run_folder, log = keys.pop("run", ""), keys.pop("log", "")
    require_used(keys, "files", "seed", "run", "log")
    if not run_folder or not log:
        raise UserError("run=, log=: fuzz needs a run folder and a log to mutate")
    bundle = Path(run_folder) / "policy"
    with tempfile.TemporaryDirectory() as folder:
        found = all_kinds(Path(log), bundle if bundle.is_dir() else Path(run_folder), count, seed, Path(folder))
    write_json(root / "fuzz.json", {"machine": measured_on(), "files": count, **found})
    print(root / "fuzz.json")
    return 0 if all(map(good, found.values())) else 1


if __name__ == "__main__":
    child(sys.argv[1], Path(sys.argv[2]))

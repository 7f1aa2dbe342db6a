"""Mutated files, few of them; `python -m benchmarks fuzz` reads ten thousand."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz
from robo_rl.log import recorder as module
from robo_rl.log.images import encode
from tests.app.support import make_bundle
from tests.log.streams import play


def test_mutated_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4000)
    play(tmp_path, episodes=3)
    found = fuzz.fuzz("log", tmp_path / "log-row000.mcap", 140, 0, fuzz.log_file)
    assert fuzz.good(found) and sum(found.values()) == 140, found
    assert min(found["partial"], found["refused"]) >= 10


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_mutated_pictures(tmp_path: Path, kind: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, fuzz.PICTURE.shape).astype(np.uint8)
    (tmp_path / kind).write_bytes(encode(picture, kind))
    found = fuzz.fuzz("picture", tmp_path / kind, 150, 0, fuzz.picture_file)
    assert fuzz.good(found) and found["refused"] > 30


def test_mutated_bundles(tmp_path: Path) -> None:
    bundle, draw, found = make_bundle(tmp_path / "run") / "policy", random.Random(0), Counter()
    for index, name in enumerate(("policy.json", "weights.safetensors") * 30):
        place, data = tmp_path / str(index), (bundle / name).read_bytes()
        fuzz.bundle_with(bundle, name)(fuzz.mutate(data, draw, tmp_path / "trap"), place)
        found[fuzz.read("bundle", place)] += 1
    assert fuzz.good(found) and found["refused"] >= 40 and not (tmp_path / "trap").exists(), found


@pytest.mark.parametrize(("outcome", "expected"), [("read", True), ("hang", False), ("ran code", False)])
def test_what_counts_as_good(outcome: str, expected: bool) -> None:
    assert fuzz.good(Counter({outcome: 1, "refused": 2})) == expected


def test_a_child_that_crashes_is_seen(tmp_path: Path) -> None:
    (tmp_path / "0000").mkdir()
    assert not fuzz.good(fuzz.run("no such kind", tmp_path, 1))

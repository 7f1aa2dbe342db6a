"""Helpers of the command line's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from robo_rl.app.build import make_env, scenario
from robo_rl.app.compose import compose


def make_bundle(folder: Path, **changes: object) -> Path:
    """A run folder with an untrained policy that holds near the home pose."""
    import torch

    from policies.actors import Actor, Features, ResidualHead
    from policies.bundle import Bundle
    from policies.networks import ChunkNet, Inputs, Normalise, like_pairs

    config = compose("evaluate", [])
    env = make_env(config.task, config.robot, 1)
    env.close()
    torch.manual_seed(0)
    obs, actions = env.obs_spec.vector_size, env.act_spec.size
    home = torch.tensor([0.0, -0.75, 0.45, 1.55, 0.0, 0.5])

    def normalise(size: int) -> Normalise:
        return Normalise(torch.zeros(size), torch.ones(size))

    def inputs() -> Inputs:
        pairs = like_pairs(env.obs_spec)
        return Inputs(torch.zeros(obs + len(pairs)), torch.ones(obs + len(pairs)), pairs)

    network = ChunkNet(inputs(), Normalise(home, torch.full((actions,), 0.05)), 4, [16])
    bundle = Bundle(env.obs_spec, env.act_spec, network, 2, meta=scenario(config) | {"env_steps_trained": 7})
    for name, value in changes.items():
        setattr(bundle, name, value)
    features, bound = Features(inputs(), normalise(actions)), torch.full((actions,), 0.01)
    head = ResidualHead(features.size(actions * 2 + 1), [16], bound, home - 1, home + 1)
    bundle.actor = Actor(features, head)
    bundle.save(folder / "policy")
    return folder


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A headless Chromium, where one is installed; the test is skipped where none is."""
    driver = pytest.importorskip("playwright.sync_api")
    place = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with driver.sync_playwright() as play:
        try:
            browser = play.chromium.launch(executable_path=place, args=["--no-sandbox", *arguments])
        except driver.Error:
            pytest.skip("no Chromium here")
        yield browser
        browser.close()


def assert_mistake(result: tuple[int, str, str], words: list[str]) -> None:
    code, _, error = result
    lines = [line for line in error.splitlines() if line.startswith("robo-rl: error: ")]
    assert code == 2
    assert len(lines) == 1 and "Traceback" not in error
    assert all(word in lines[0] for word in words), lines[0]

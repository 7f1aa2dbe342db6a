"""A learner process that keeps one core busy: `python -m benchmarks.load`. Prints one line when it is under way."""

from __future__ import annotations

import os

import numpy as np
import torch

from benchmarks import untrained


def main() -> None:
    """Update a residual learner until this process is ended, or its parent is gone."""
    torch.set_num_threads(1)
    learner, replay, rng = untrained.make_learner(4), untrained.fill_replay(20_000), np.random.default_rng(0)
    parent, rule = os.getppid(), learner.config
    while os.getppid() == parent:
        learner.update(replay.sample(256, rng, rule.n_step, rule.gamma))
        if learner.updates == 10:
            print("under way", flush=True)


if __name__ == "__main__":
    main()

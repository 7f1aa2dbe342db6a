"""The same episode every time, for every robot; another number of rows or threads changes next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.seeds import Seeds
from robo_rl.types import Step

TASKS = ("so101/stack", "koch/lift", "ur5e/lift", "so101_pair/handover", "go2/push_recovery")
TOLERANCE = 1e-6  # between numbers of rows or threads: matrix products round differently
TICKS = 60


def course(task: str, n: int, nthread: int, seed: int, randomise: str) -> list[Step]:
    """Steps of `n` rows under setpoints that wander with the tick alone, through falls and resets."""
    config = compose("evaluate", [f"task={task}", f"task.rig.randomise={randomise}", "task.task.config.limit=1.0"])
    env = make_env(config.task, config.robot, n, nthread=nthread)
    steps = [env.reset(np.ones(n, bool), Seeds(seed))]
    home = steps[0].obs["applied"][:1]
    wave = np.arange(home.shape[1])
    for tick in range(TICKS):
        env.send(np.repeat(home + np.float32(0.4) * np.sin(0.3 * tick + wave).astype(np.float32), n, axis=0))
        steps.append(env.recv())
    env.close()
    return steps


@pytest.mark.parametrize("randomise", ["none", "train"])
@pytest.mark.parametrize("task", TASKS)
def test_a_seed_is_an_episode(task: str, randomise: str) -> None:
    once, again = course(task, 3, 2, 7, randomise), course(task, 3, 2, 7, randomise)
    alone = course(task, 1, 1, 9, randomise)  # the seed of row 2
    for a, b, c in zip(once, again, alone, strict=True):
        assert a.obs.keys() == b.obs.keys() == c.obs.keys()
        for key, value in a.obs.items():
            assert np.array_equal(value, b.obs[key])
            if (a.seed[2] == 9) and (c.seed[0] == 9):
                np.testing.assert_allclose(value[2], c.obs[key][0], rtol=0, atol=TOLERANCE)
    assert once[TICKS // 3].seed[2] == 9 and not np.array_equal(once[0].seed, once[-1].seed)

"""What every `Task` promises."""

from __future__ import annotations

import numpy as np

from robo_rl.env import RigEnv
from robo_rl.seeds import Seeds
from robo_rl.types import Reason, Success


class TaskContract:
    """Hook: `make(n)`, the task on a rig it can be judged on."""

    ticks = 20

    def make(self, n: int) -> RigEnv:
        raise NotImplementedError

    def begun(self, n: int, seed: int) -> RigEnv:
        env = self.make(n)
        step = env.reset(np.ones(n, bool), Seeds(seed))
        while not step.first.all():
            env.send(step.applied)
            step = env.recv()
        return env

    def test_it_has_a_name_and_a_limit(self) -> None:
        env = self.make(1)
        assert env.task.name and env.limit >= 1
        env.close()

    def test_what_it_observes_fits_its_spec(self) -> None:
        env = self.begun(3, 0)
        env.task.obs_spec.validate(env.task.observe(), 3)
        env.close()

    def test_a_seed_is_an_episode(self) -> None:
        one, two, alone = self.begun(3, 4), self.begun(3, 4), self.begun(1, 5)
        for key in one.obs_spec:
            values = [{**env.rig.read()[0], **env.task.observe()}[key] for env in (one, two, alone)]
            assert np.array_equal(values[0], values[1])
            assert np.allclose(values[0][1], values[2][0], atol=1e-5)
        for env in (one, two, alone):
            env.close()

    def test_verdicts_are_consistent(self) -> None:
        env, rng = self.begun(3, 0), np.random.default_rng(0)
        for _ in range(self.ticks):
            applied = env.rig.write(env.act_spec.clip(rng.uniform(-1, 1, (3, *env.act_spec.shape))), np.ones(3, bool))
            env.rig.tick(np.ones(3, bool))
            verdict = env.task.judge(env.rig.read()[0], applied)
            dtypes = [verdict.reward.dtype, verdict.terminal.dtype, verdict.success.dtype, verdict.reason.dtype]
            assert dtypes == [np.float32, bool, np.int8, np.uint8]
            assert (verdict.reason[verdict.terminal] != Reason.RUNNING).all(), "a terminal tick needs a reason"
            assert (verdict.success[verdict.reason == Reason.SUCCESS] == Success.YES).all()
        env.close()

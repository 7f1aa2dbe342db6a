"""The only control loop of the project: training, recording, deploying, replaying and auditing all run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from robo_rl.env import Env
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Step

Observer = Callable[[Step, Action], None]


def run(
    env: Env,
    policy: Policy,
    until: Callable[[Step], bool],
    seeds: Seeds,
    observers: Sequence[Observer] = (),
) -> None:
    """Run `policy` in `env` until `until(step)`; observers see every step with the action that answers it."""
    step, sized = env.reset(np.ones(env.n, bool), seeds), False
    while True:
        if step.first.any() or not sized:  # rows may be on their way to where their episode begins
            policy.reset(step.first, step.seed)
            sized = True
        action = policy.act(step.obs)  # also at LAST, so that base_action(s') exists for every transition
        env.send(action.value)  # the command leaves before anything else happens
        for observe in observers:
            observe(step, action)  # inside the tick that is running anyway
        if until(step):
            return  # the last step, too, has been observed
        step = env.recv()  # its `applied` answers the action just sent

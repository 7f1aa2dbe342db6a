"""What a replay holds of episodes in which a person took over: the action that the robot accepted, whoever gave it."""

from __future__ import annotations

import numpy as np

from hardware.emulators.servo_arm import ServoArm
from hardware.rig import DeviceRig
from policies.compose import Chunked
from policies.override import INTERVENTION, Override
from robo_rl.clock import Deadline
from robo_rl.data.replay import Replay
from robo_rl.env import RigEnv
from robo_rl.loop import run
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Step
from tests.fakes import FakeClock, IdleTask, tiny_arm
from tests.policies.test_override import Counting, Script

ARM = tiny_arm()
TAKE_OVER, HAND_BACK = 3, 7  # ticks at which the person presses the button
PLACE = (0.9, -0.3)  # [rad] where the person's device is: far away, so that the guard limits the speed
STEP = ARM.array("max_speed") * ARM.dt


def test_at_the_take_over_and_at_the_hand_back_the_accepted_action_is_stored() -> None:
    clock = FakeClock()
    rig = DeviceRig([ServoArm(ARM, now=clock)], deadline=Deadline(ARM.dt, now=clock, sleep=clock.sleep), now=clock)
    env = RigEnv(rig, IdleTask(limit=12 * ARM.dt))
    person = Script(PLACE, presses=(TAKE_OVER, HAND_BACK))
    policy = Override(Chunked(Counting(), 4, env.act_spec), person, env.act_spec)
    replay = Replay(env.obs_spec, policy.extra_spec, env.act_spec.size, 1, 100)
    seen: list[tuple[Step, Action]] = []

    def note(step: Step, action: Action) -> None:
        if (step.live | step.last)[0]:
            seen.append((step, action))
        else:
            person.look = -1  # the plan counts the episode's ticks

    run(env, policy, lambda step: step.last.any(), Seeds(0, 1), (replay.add, note))
    env.close()
    acts = [bool(action.extra[INTERVENTION][0, 0]) for _, action in seen[:-1]]
    assert acts == [TAKE_OVER <= tick < HAND_BACK for tick in range(len(acts))]
    accepted = np.concatenate([step.applied for step, _ in seen[1:]])
    asked = np.concatenate([action.value for _, action in seen[:-1]])
    base = np.concatenate([action.extra["base_action"] for _, action in seen[:-1]])
    batch = replay.gather(replay.starts())
    assert np.array_equal(batch.action, accepted)
    moved = accepted[TAKE_OVER] - accepted[TAKE_OVER - 1]
    assert np.allclose(moved, STEP * np.sign(asked[TAKE_OVER] - accepted[TAKE_OVER - 1]), atol=1e-6)
    for tick in (TAKE_OVER, HAND_BACK - 1):  # what the base would have done is there, and is not the action
        assert np.abs(accepted[tick] - base[tick]).max() > 0.01
        assert np.isclose(batch.extra[tick], base[tick, 0]).any()

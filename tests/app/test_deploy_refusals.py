"""A bundle that was made for another order of the joints, another rate, or another start: `deploy` says so in one line,
before a robot moves because of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.spec import Feature, Spec
from tests.app.support import assert_mistake
from tests.app.test_so101 import EMULATED, SHORT

ROBOTS = {"so101": "so101/lift", "koch": "koch/lift", "ur5e": "ur5e/lift", "go2": "go2/joystick"}


def bundle(folder: Path, obs_spec: Spec, act_spec: Feature, dt: float, target: np.ndarray) -> Path:
    """A run folder with a policy that asks for `target` (A,), whatever it sees."""
    import torch

    from policies.bundle import Bundle
    from policies.networks import ChunkNet, Inputs, Normalise, like_pairs

    pairs = like_pairs(obs_spec)
    size = obs_spec.vector_size + len(pairs)
    inputs = Inputs(torch.zeros(size), torch.ones(size), pairs)
    around = Normalise(torch.from_numpy(target.astype(np.float32)), torch.full((act_spec.size,), 1e-6))
    network = ChunkNet(inputs, around, 4, [4])
    Bundle(obs_spec, act_spec, network, 2, meta={"robot": "mine"}, dt=dt).save(folder / "policy")
    return folder


def specs(robot: str) -> tuple[Spec, Feature, float]:
    """What a robot's simulated twin observes and takes, and its control period [s]."""
    config = compose("evaluate", [f"task={ROBOTS[robot]}"])
    env = make_env(config.task, config.robot, 1)
    env.close()
    return env.obs_spec, env.act_spec, env.dt


def turned(feature: Feature) -> Feature:
    """The same elements in another order."""
    order = [1, 0, *range(2, feature.size)]
    names = tuple(feature.names[place] for place in order)
    return Feature(feature.shape, feature.dtype, feature.low[order], feature.high[order], feature.unit, names)


@pytest.mark.parametrize("robot", ROBOTS)
def test_another_order_of_joints_and_another_rate_are_refused(robo_rl, robot: str, tmp_path: Path) -> None:
    obs_spec, act_spec, dt = specs(robot)
    joints = {key: turned(value) for key, value in obs_spec.items() if value.names == act_spec.names}
    other = bundle(tmp_path / "other", obs_spec | joints, turned(act_spec), 2 * dt, np.zeros(act_spec.size))
    arguments = (f"task={ROBOTS[robot]}", f"robot={robot}", "robot.bus=emulated", f"out={tmp_path / 'out'}")
    one, two = act_spec.names[:2]
    words = [
        f"the bundle (left) does not fit robot={robot} task={ROBOTS[robot]} (right)",
        "action.names: the same in another order",
        f"['{two}', '{one}'",
        f"['{one}', '{two}'",
        f"dt: {2 * dt:.4g} s ({0.5 / dt:.4g} Hz) != {dt:.4g} s ({1 / dt:.4g} Hz)",
        "it was trained with robot=mine: use it there, or train one that fits",
    ]
    assert_mistake(robo_rl("deploy", f"run={other}", *arguments), words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("robot", "part"), [("go2", "action.names"), ("koch", "action.low")])
def test_another_robot_is_named_before_anything_of_it_is_asked_for(robo_rl, run_folder, tmp_path, robot, part) -> None:
    arguments = (f"run={run_folder}", f"robot={robot}", "robot.bus=lo", f"out={tmp_path / 'out'}")
    words = [f"does not fit robot={robot} (right)", part, "it was trained with task=so101/insert_peg robot=so101_sim"]
    assert_mistake(robo_rl("deploy", *arguments), words)
    assert not (tmp_path / "out").exists()


def test_a_policy_that_begins_far_from_home_is_stopped_before_it_moves_the_arm(robo_rl, tmp_path: Path) -> None:
    obs_spec, act_spec, dt = specs("so101")
    target = np.array([0.0, -0.75, 0.45, 1.55, 0.0, 0.5])
    target[0] = 1.3
    far = bundle(tmp_path / "far", obs_spec, act_spec, dt, target)
    arguments = (f"run={far}", "task=so101/lift", *EMULATED, SHORT, "episodes=1", f"out={tmp_path / 'out'}")
    words = ["robot=so101: a fault ended the run", "first target too far away: shoulder_pan by 1.30 rad, limit 0.80"]
    assert_mistake(robo_rl("deploy", *arguments), [*words, "does the policy begin at the home pose?"])

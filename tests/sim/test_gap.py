"""Gap analysis: each cause, planted in a simulated "robot" behind the real loop, comes out first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from robo_rl.env import RigEnv
from robo_rl.log.reader import find_logs, read_log
from robo_rl.log.recorder import Recorder
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.spec import Spec
from robo_rl.types import Action, Obs
from sim.gap import GROUPS, causes
from sim.identification import Simulator, Windows, cut, rms, rms_over_time
from sim.parameters import apply, expand
from sim.rig import SimRig
from sim.tasks.insert_peg import InsertPeg, make_rig

HERE = Path(__file__).parents[2] / "configs/description/so101.yaml"
HOME = np.array([0.0, -0.75, 0.45, 1.0, 0.0, 0.7])
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


class Wave(Policy):
    """Every joint swings about home at a frequency of its own, high above the table."""

    extra_spec = Spec({})

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        self._tick, self._phase = 0, (seeds % 7)[:, None]

    def act(self, obs: Obs) -> Action:
        time = self._tick / 30
        self._tick += 1
        swing = 0.25 * np.sin(np.linspace(3.0, 6.0, 6) * time + self._phase)
        return Action((HOME + swing).astype(np.float32), {})


def windows_of(plant: Callable[[SimRig], None], folder: Path) -> Windows:
    """Windows of the log of a robot with something planted in it."""
    rig = make_rig(HERE, 2)
    plant(rig)
    env = RigEnv(rig, InsertPeg(rig.world))
    env.limit = 90
    with Recorder(folder, env.obs_spec, env.act_spec, Spec({}), {"name": "wave", "task": "x"}, env.dt) as record:
        run(env, Wave(), lambda step: step.exhausted, Seeds(0, 2), (record,))
    env.close()
    episodes = [episode for path in find_logs(folder) for episode in read_log(path).episodes]
    return cut(episodes, 12, 4, 0, blocked=0.5)


def changed_commands(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[SimRig], None]:
    """What a driver does that mixes up its motors: they get other setpoints than it says it accepted."""

    def plant(rig: SimRig) -> None:
        def drive(live: np.ndarray, tick: Callable[[np.ndarray], None] = rig.world.step) -> None:
            rig.world.ctrl[:, :6] = change(rig.world.ctrl[:, :6].copy())
            tick(live)

        rig.world.step = drive  # type: ignore[method-assign]

    return plant


def numbers(**values: float) -> Callable[[SimRig], None]:
    return lambda rig: apply(rig, {name.replace("__", "."): value for name, value in values.items()})


def slow_ticks(rig: SimRig) -> None:
    rig.world.substeps = 6  # instead of 8


def flip_roll(setpoint: np.ndarray) -> np.ndarray:
    return setpoint * np.array([1, 1, 1, 1, -1, 1])


PLANTED = {
    "latency": (numbers(latency=2.0), "2 ticks"),
    "gain": (numbers(gain__shoulder_pan=7.0), "gain of shoulder_pan x 0.4"),
    "friction": (numbers(frictionloss__elbow_flex=0.42), "frictionloss of elbow_flex x 8"),
    "joint order": (changed_commands(lambda x: x[:, [4, 1, 2, 3, 0, 5]]), "shoulder_pan and wrist_roll exchanged"),
    "sign": (changed_commands(flip_roll), "wrist_roll turns the other way"),
    "rate": (slow_ticks, "a tick lasts 0.75 times as long"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_cause_comes_first(name, tmp_path):
    plant, detail = PLANTED[name]
    windows = windows_of(plant, tmp_path)
    simulator = Simulator(make_rig(HERE, 64), expand(GROUPS, JOINTS))
    first, second, *_ = causes(simulator, windows, JOINTS)
    assert (first.name, first.detail) == (name, detail)
    assert first.explained > 0.9 and first.explained > second.explained + 0.02


def test_a_twin_has_no_gap(tmp_path):
    windows = windows_of(lambda rig: None, tmp_path)
    simulator = Simulator(make_rig(HERE, 4), expand(GROUPS, JOINTS))
    predicted = simulator.predict(simulator.parameters.nominal[None], windows)[0]
    assert rms(predicted, windows).max() < 1e-4  # [rad] float32 positions and no warm start
    assert rms_over_time(predicted, windows).shape == (12, 6)

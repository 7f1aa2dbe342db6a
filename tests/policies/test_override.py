"""Take-over and hand-back: who acts when, what is flagged, and that nothing stale reaches the robot."""

from __future__ import annotations

import numpy as np
import pytest

from policies.compose import Chunked
from policies.override import INTERVENTION, Hold, Mode, Override
from robo_rl.env import RigEnv
from robo_rl.loop import run
from robo_rl.policy import Planner, Policy
from robo_rl.seeds import Seeds
from robo_rl.spec import Feature, Spec
from robo_rl.teleop import Hand, Teleoperator
from robo_rl.types import Action, Kind, Obs, Step
from tests.contract.policy import PolicyContract
from tests.fakes import IdleTask, PointRig

ACT = Feature((2,), "float32", -1.0, 1.0, "m", ("x", "y"))
OBS = Spec({"position": Feature((2,), unit="m"), "applied": ACT})


class Script(Teleoperator):
    """A person who follows a plan: place of the device by look, looks at which the button is pressed."""

    problem = ""

    def __init__(
        self, place: tuple[float, float] = (0.5, 0.5), presses: tuple[int, ...] = (), mirrors: bool = False
    ) -> None:
        self.place, self.presses, self.mirrors, self.look = place, presses, mirrors, -1

    def connect(self) -> None:
        """It is there."""

    def read(self, applied: np.ndarray) -> Hand:
        self.look += 1
        return Hand(np.array(self.place, np.float32), self.look in self.presses)

    def close(self) -> None:
        """It stays."""


class Counting(Planner):
    """Chunks that say which plan they are of: 0.01 k; notes the rows and draws it was asked with."""

    horizon = 4

    def __init__(self) -> None:
        self.draws: list[int] = []

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        self.draws += rng.tolist()
        return np.full((len(rows), samples, 4, 2), 0.01 * len(self.draws), np.float32)


class Drawn(Planner):
    """Chunks that are a function of the draw."""

    horizon = 4

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        place = obs["position"][rows, None, None] + (rng % 97)[:, None, None, None] / 97.0
        return np.broadcast_to(np.tanh(place), (len(rows), samples, 4, 2)).astype(np.float32)


def observed(applied: tuple[float, float] = (0.0, 0.0)) -> dict[str, np.ndarray]:
    return {"position": np.zeros((1, 2), np.float32), "applied": np.array([applied], np.float32)}


def play(policy: Policy, ticks: int, seed: int = 3) -> list[Action]:
    policy.reset(np.ones(1, bool), np.array([seed]))
    return [policy.act(observed()) for _ in range(ticks)]


def flags(actions: list[Action]) -> list[int]:
    return [int(action.extra[INTERVENTION][0, 0]) for action in actions]


class TestWithoutTakeOver(PolicyContract):
    """A person who never presses anything changes nothing."""

    obs_spec, act_spec = OBS, ACT

    def make(self, n: int) -> Policy:
        base = Chunked(Drawn(), 4, ACT)
        return Override(base, Script(), ACT) if n == 1 else base


def test_the_person_acts_between_take_over_and_hand_back() -> None:
    policy = Override(Chunked(Counting(), 4, ACT), Script(presses=(2, 5)), ACT)
    actions = play(policy, 8)
    assert flags(actions) == [0, 0, 1, 1, 1, 0, 0, 0]
    assert [float(action.value[0, 0]) for action in actions[2:5]] == [0.5] * 3
    for action in actions:
        policy.extra_spec.validate(dict(action.extra), 1)


def test_the_base_runs_along_and_its_chunk_begins_anew_at_the_hand_back() -> None:
    planner = Counting()
    actions = play(Override(Chunked(planner, 4, ACT), Script(presses=(2, 6)), ACT), 10)
    base = [round(100 * float(action.extra["base_action"][0, 0])) for action in actions]
    assert base == [1, 1, 1, 1, 2, 2, 3, 3, 3, 3]  # without the hand-back: 2, 2 at the ticks 6 and 7
    assert [round(100 * float(action.value[0, 0])) for action in actions[6:]] == [3, 3, 3, 3]
    assert len(set(planner.draws)) == 3  # another draw, not the episode's first one again


def test_a_mirroring_device_waits_until_it_is_near() -> None:
    teleop, said = Script((0.5, -0.4), presses=(1,), mirrors=True), []
    policy = Override(Hold(), teleop, ACT, near=0.1, tell=said.append)
    policy.reset(np.ones(1, bool), np.array([0]))
    policy.act(observed((0.2, 0.0)))
    held = [policy.act(observed((0.2 + 0.1 * tick, 0.0))) for tick in range(3)]
    assert policy.mode == Mode.MIRROR and flags(held) == [1, 1, 1]
    assert all(np.array_equal(action.value, np.array([[0.2, 0.0]], np.float32)) for action in held)
    teleop.place = (0.22, -0.05)
    action = policy.act(observed((0.2, 0.0)))
    assert policy.mode == Mode.PERSON and np.allclose(action.value, [[0.22, -0.05]])
    assert said[0].startswith("you hold the robot still") and said[-1] == "you act"


def test_while_mirroring_the_farthest_joint_is_named() -> None:
    said: list[str] = []
    policy = Override(Hold(), Script((0.5, -0.4), mirrors=True), ACT, begins=True, tell=said.append)
    play(policy, 1)
    assert said[-1] == "bring x by -0.50 m"


def test_changing_ones_mind_while_mirroring_hands_back() -> None:
    actions = play(Override(Hold(), Script(presses=(1, 3), mirrors=True), ACT), 5)
    assert flags(actions) == [0, 1, 1, 0, 0]


def test_an_episode_begins_with_whoever_it_should() -> None:
    policy = Override(Hold(), Script(presses=(1,)), ACT)
    assert flags(play(policy, 3)) == [0, 1, 1] and flags(play(policy, 2)) == [0, 0]
    person = Override(Hold(), Script(), ACT, begins=True)
    assert flags(play(person, 3)) == [1, 1, 1] and flags(play(person, 2)) == [1, 1]


def test_state_resumes_under_a_person() -> None:
    one, other = (Override(Chunked(Counting(), 4, ACT), Script(presses=(1,)), ACT) for _ in range(2))
    play(one, 3)
    other.reset(np.ones(1, bool), np.array([0]))
    other.load(one.state())
    assert np.array_equal(one.act(observed()).value, other.act(observed()).value) and other.mode == Mode.PERSON


def test_it_has_one_row() -> None:
    with pytest.raises(ValueError, match="one row"):
        Override(Hold(), Script(), ACT).reset(np.ones(2, bool), np.arange(2))


def test_in_the_loop_the_persons_setpoints_reach_the_robot() -> None:
    steps: list[Step] = []
    env, policy = RigEnv(PointRig(1), IdleTask(1.0)), Override(Hold(), Script((0.3, -0.2), presses=(3,)), ACT)
    run(env, policy, lambda step: step.kind[0] == Kind.LAST, Seeds(0, 1), [lambda step, action: steps.append(step)])
    assert np.allclose(steps[-1].applied, [[0.3, -0.2]]) and np.allclose(steps[1].applied, 0)

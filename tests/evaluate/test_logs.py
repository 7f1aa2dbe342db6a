"""Finished logs measured: against what was put into them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robo_rl.errors import UserError
from robo_rl.evaluate.compare import cohens_h, compare, unpaired_difference
from robo_rl.evaluate.logs import measure_log, measure_logs
from robo_rl.evaluate.quality import cadence, energy, guarded_share, interventions, smoothness
from robo_rl.log.episode import Episode
from robo_rl.log.reader import find_logs, read_log
from robo_rl.log.recorder import Recorder
from robo_rl.spec import Feature, Spec
from robo_rl.types import Action, Kind, Reason, Step
from tests.log.streams import play

NAMES = ("shoulder", "elbow")
OBS, ACT = (
    Spec({"joint_position": Feature((2,), names=NAMES), "target": Feature((1,))}),
    Feature((2,), names=NAMES[::-1]),
)
DT = 0.1


def tick(index: int, last: int, seed: int = 3, success: bool = True) -> tuple[Step, Action]:
    """The elbow lags its setpoint by 0.1; the robot accepts 0.05 less than commanded in every second tick."""
    asked = np.array([[0.2 * index + 0.1, 0.3]], np.float32)  # elbow, shoulder
    kind = Kind.FIRST if index == 0 else Kind.LAST if index == last else Kind.MID
    reason = Reason.SUCCESS if success else Reason.TIMEOUT
    done = kind == Kind.LAST
    step = Step(
        obs={"joint_position": np.array([[0.3, 0.2 * index]], np.float32), "target": np.zeros((1, 1), np.float32)},
        reward=np.full(1, done and success, np.float32),
        discount=np.ones(1, np.float32),
        kind=np.full(1, kind, np.uint8),
        applied=asked,
        success=np.full(1, success if done else -1, np.int8),
        reason=np.full(1, reason if done else Reason.RUNNING, np.uint8),
        seed=np.full(1, seed, np.int64),
        stamp={"joint_position": np.full(1, index * DT), "target": np.full(1, index * DT - 0.02)},
    )
    following = np.array([[0.2 * (index + 1) + 0.1 + 0.05 * (index % 2), 0.3]], np.float32)
    return step, Action(following, {})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    said = iter([*[""] * 4, *["elbow over its limit"] * 3, *[""] * 100])
    meta = {"task": "reach", "robot": "arm"}
    with Recorder(tmp_path / "one", OBS, ACT, Spec({}), meta, DT, messages=lambda: [next(said)]) as recorder:
        for seed, success in ((3, True), (4, False)):
            for index in range(21):
                recorder(*tick(index, 20, seed, success))
        for index in range(5):  # breaks off
            recorder(*tick(index, 20, 5))
    return tmp_path / "one" / "log-row000.mcap"


def test_what_a_log_tells(log: Path) -> None:
    found = measure_logs([log])
    assert (found["task"], found["robot"], found["episodes"], found["broken_off"]) == ("reach", "arm", 2, 1)
    assert found["success_rate"] == 0.5 and found["time_to_success_s"] == pytest.approx(2.0)
    assert found["tracking"]["elbow"] == pytest.approx({"rms": 0.1, "max": 0.1}, abs=1e-6)
    assert found["tracking"]["shoulder"] == pytest.approx({"rms": 0.0, "max": 0.0}, abs=1e-6)
    assert found["guarded_share"] == pytest.approx(0.5)
    assert found["guard_events"]["count"] == 1 and found["guard_events"]["texts"] == {"elbow over its limit": 1}
    ages = found["observation_age"]
    assert ages["target"]["p50_ms"] == pytest.approx(20) and ages["joint_position"]["max_ms"] == 0
    assert found["cadence"]["ticks"] == 47 and not found["cadence"]["realtime"]
    assert found["cadence"]["wake_p50_us"] is None and found["truncated"] == []


def test_cut_logs_and_logs_of_two_tasks(log: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(log.read_bytes()[:-2000])
    assert measure_log(cut)["truncated"]
    play(tmp_path / "other", meta={"task": "push"})
    with pytest.raises(UserError, match=r"log=.*several tasks \(push, reach\)"):
        measure_logs([log, *find_logs(tmp_path / "other")])


def test_smoothness_knows_a_smooth_movement() -> None:
    time = np.linspace(0, 1, 101)[:, None]
    minimum_jerk = 10 * time**3 - 15 * time**4 + 6 * time**5
    value = smoothness(minimum_jerk, 0.01)
    assert value == pytest.approx(-np.log(720 / 1.875**2), abs=0.1)  # integral of the squared jerk: 720; peak: 1.875
    assert smoothness(3 * minimum_jerk, 0.05) == pytest.approx(value)  # neither extent nor duration count
    shaken = minimum_jerk + 0.002 * np.random.default_rng(0).standard_normal(time.shape)
    assert smoothness(shaken, 0.01) < value - 2
    assert smoothness(np.ones((50, 2)), 0.01) is None and smoothness(minimum_jerk[:4], 0.01) is None


def test_guarded_share_of_an_untouched_episode_is_zero(tmp_path: Path) -> None:
    play(tmp_path, episodes=2)
    assert measure_logs(find_logs(tmp_path))["guarded_share"] == 0.0


def test_cadence_of_the_rig_and_of_the_clock() -> None:
    clock = np.cumsum([0.0, 0.01, 0.01, 0.01, 0.03, 0.01])
    found = cadence({"monotonic": clock}, 0.01)
    assert found["realtime"] and found["deadline_misses"] == 1 and found["rate_hz"] == pytest.approx(5 / 0.07)
    assert found["wake_max_us"] == pytest.approx(20_000)
    own = {"monotonic": clock, "late": np.full(6, 5e-5), "misses": np.array([2.0, 2, 2, 2, 3, 4])}
    assert cadence(own, 0.01)["wake_p99_us"] == pytest.approx(50) and cadence(own, 0.01)["deadline_misses"] == 2
    assert cadence({"monotonic": clock / 100}, 0.01)["realtime"] is False
    assert cadence({}, 0.01) == {"ticks": 0, "rate_hz": None, "realtime": False}


def rows(outcomes: dict[int, bool], length: float = 10.0) -> list[dict]:
    return [
        {"seed": seed, "success": ok, "length": length + seed, "return": float(ok)} for seed, ok in outcomes.items()
    ]


def test_pairs_where_seeds_agree() -> None:
    one, two = {seed: seed % 2 == 0 for seed in range(20)}, {seed: seed % 4 != 1 for seed in range(5, 25)}
    found = compare(rows(one), rows(two, 13.0))
    assert found is not None and found["paired"] and found["episodes"] == [15, 15]
    assert found["difference"]["mean"] == pytest.approx(
        np.mean([two[s] for s in range(5, 20)]) - np.mean([one[s] for s in range(5, 20)])
    )
    assert found["numbers"]["length"] == {"episodes": [15, 15], "mean": 3.0, "ci_low": 3.0, "ci_high": 3.0}
    assert found["numbers"]["smoothness"] is None


def test_unpaired_where_seeds_differ() -> None:
    one, two = {seed: seed < 56 for seed in range(70)}, {seed: seed < 148 for seed in range(100, 180)}
    found = compare(rows(one), rows(two))
    assert found is not None and not found["paired"] and found["episodes"] == [70, 80]
    assert compare(rows(one), [{"seed": 1, "success": None}]) is None


def test_unpaired_difference_is_newcombes() -> None:
    """R. G. Newcombe, Statistics in Medicine 17, 1998, 873-890, table II, method 10: 56/70 - 48/80 and 10/10 - 0/10."""
    found = unpaired_difference(np.arange(80) < 48, np.arange(70) < 56)
    assert (found.mean, found.ci_low, found.ci_high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    found = unpaired_difference(np.zeros(10, bool), np.ones(10, bool))
    assert (found.ci_low, found.ci_high) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_effect_size_is_cohens() -> None:
    assert cohens_h(0.5, 0.5) == 0 and cohens_h(0.25, 0.75) == pytest.approx(np.pi / 3)


def test_guarded_share_of_one_tick_is_zero(log: Path) -> None:
    from robo_rl.log.access import within

    episode = read_log(log).episodes[0]
    assert guarded_share(within(episode, episode.time[0], episode.time[0])) == 0.0


def recorded(extra: Spec, obs: Spec, ticks: list[tuple[Step, Action]], folder: Path) -> Episode:
    with Recorder(folder, obs, ACT, extra, {}, DT) as recorder:
        for step, action in ticks:
            recorder(step, action)
    return read_log(folder / "log-row000.mcap").episodes[0]


def test_interventions_are_counted(tmp_path: Path) -> None:
    """A person acts in two stretches, of three and of two ticks of twenty; what is said at LAST does not count."""
    stream = []
    for index in range(21):
        step, action = tick(index, 20)
        flag = np.full((1, 1), index in (3, 4, 5, 11, 12, 20), np.float32)
        stream.append((step, Action(action.value, {"intervention": flag})))
    extra = Spec({"intervention": Feature((1,), "float32", 0.0, 1.0)})
    found = interventions(recorded(extra, OBS, stream, tmp_path / "a"), DT)
    assert found["interventions"] == 2 and found["intervention_share"] == pytest.approx(5 / 20)
    assert found["interventions_per_minute"] == pytest.approx(2 / (20 * DT / 60))
    measured = measure_logs(find_logs(tmp_path))
    assert measured["intervention_share"] == pytest.approx(5 / 20) and measured["energy_j"] is None
    nobody = recorded(Spec({}), OBS, [tick(index, 20) for index in range(21)], tmp_path / "b")
    assert interventions(nobody, DT)["interventions"] is None


def test_energy_is_work_done_and_taken(tmp_path: Path) -> None:
    """2 N.m at 3 rad/s one way and the other for two seconds: 12 J, whichever way the power flows."""
    stream = []
    for index in range(21):
        step, action = tick(index, 20)
        sign = -1 if index % 2 else 1
        moving = {"joint_velocity": np.array([[3.0, 0.0]]), "joint_torque": np.array([[2.0 * sign, 5.0]])}
        stream.append((replace(step, obs={**step.obs, **moving}), action))
    more = Spec({key: Feature((2,), "float64", names=NAMES) for key in ("joint_velocity", "joint_torque")})
    episode = recorded(Spec({}), OBS | more, stream, tmp_path)
    assert energy(episode, DT) == pytest.approx(12.0)
    assert measure_logs(find_logs(tmp_path))["energy_j"] == pytest.approx(12.0)


@pytest.mark.parametrize("seeds", [0, 100])
def test_numbers_that_hardly_spread_are_compared_in_silence(seeds: int, recwarn: pytest.WarningsRecorder) -> None:
    one = [{"seed": seed, "success": True, "return": 1.0, "length": 30} for seed in range(4)]
    two = [{"seed": seeds + seed, "success": True, "return": 2.0, "length": 30 + seed} for seed in range(4)]
    two[0]["return"] = 2.0000000000000004
    found = compare(one, two)
    assert found is not None and found["numbers"]["return"]["mean"] == pytest.approx(1.0)
    assert found["numbers"]["return"]["ci_high"] == pytest.approx(1.0)
    assert not recwarn.list

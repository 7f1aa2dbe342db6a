"""What every `Robot` promises, and every `Rig` on top of it."""

from __future__ import annotations

import numpy as np

from robo_rl.robot import Rig, Robot
from robo_rl.types import Reason


class RobotContract:
    """Hooks: `make()`, connected by the test; `pass_time()` lets one control period pass; `home_ticks` are enough."""

    n = 1
    home_ticks = 200

    def make(self) -> Robot:
        raise NotImplementedError

    def pass_time(self, robot: Robot) -> None:
        raise NotImplementedError

    def homed(self) -> Robot:
        robot, everyone = self.make(), np.ones(self.n, bool)
        robot.connect()
        for _ in range(self.home_ticks):
            if robot.home(everyone).all():
                return robot
            self.pass_time(robot)
        raise AssertionError("the robot never got home")

    def test_specs_are_readable_while_disconnected(self) -> None:
        robot = self.make()
        assert robot.obs_spec.fingerprint() == self.make().obs_spec.fingerprint()
        assert robot.act_spec.names
        robot.close()

    def test_readings_fit_the_spec_and_are_stamped(self) -> None:
        robot = self.homed()
        obs, stamp = robot.read()
        robot.obs_spec.validate(obs, self.n)
        assert set(stamp) == set(obs) and all(value.shape == (self.n,) for value in stamp.values())
        robot.close()

    def test_write_returns_what_was_accepted(self) -> None:
        robot = self.homed()
        wild = np.full((self.n, *robot.act_spec.shape), 1e6, np.float32)
        accepted = robot.write(wild, np.ones(self.n, bool))
        assert accepted.dtype == np.float32
        assert np.array_equal(accepted, robot.act_spec.clip(accepted))
        self.pass_time(robot)
        assert np.array_equal(robot.read()[0]["applied"], accepted)
        robot.close()

    def test_rows_that_are_not_live_keep_their_setpoint(self) -> None:
        robot = self.homed()
        before = robot.read()[0]["applied"].copy()
        wild = np.full((self.n, *robot.act_spec.shape), np.nan, np.float32)
        robot.write(wild, np.zeros(self.n, bool))
        assert np.array_equal(robot.read()[0]["applied"], before)
        robot.close()

    def test_a_setpoint_in_reach_passes_bit_for_bit(self) -> None:
        robot = self.homed()
        target = robot.read()[0]["applied"] + np.float32(1e-3)
        assert np.array_equal(robot.write(target, np.ones(self.n, bool)), target)
        robot.close()

    def test_close_may_be_called_twice(self) -> None:
        robot = self.homed()
        robot.close()
        robot.close()


class RigContract:
    """Hooks: `make()`; `home_ticks` are enough."""

    home_ticks = 200

    def make(self) -> Rig:
        raise NotImplementedError

    def homed(self) -> Rig:
        rig = self.make()
        waiting = np.ones(rig.n, bool)
        for _ in range(self.home_ticks):
            waiting = waiting & ~rig.home(waiting, np.arange(rig.n))
            if not waiting.any():
                return rig
            rig.tick(np.zeros(rig.n, bool))
        raise AssertionError("the rig never got home")

    def test_readings_fit_the_spec(self) -> None:
        rig = self.homed()
        obs, stamp = rig.read()
        spec = rig.obs_spec | rig.privileged()
        spec.validate(obs, rig.n)
        assert set(stamp) <= set(obs) and all(value.shape == (rig.n,) for value in stamp.values())
        rig.close()

    def test_reading_twice_in_a_tick_reads_the_same(self) -> None:
        rig = self.homed()
        one, two = rig.read()[0], rig.read()[0]
        assert all(np.allclose(one[key], two[key], atol=1e-3) for key in one)
        rig.close()

    def test_only_live_rows_are_commanded(self) -> None:
        rig = self.homed()
        before = rig.write(np.zeros((rig.n, *rig.act_spec.shape), np.float32), np.zeros(rig.n, bool))
        live = np.arange(rig.n) % 2 == 1
        target = before + np.float32(1e-3)
        after = rig.write(target, live)
        assert np.array_equal(after, np.where(live[:, None], target, before))
        rig.close()

    def test_nothing_is_wrong_at_first(self) -> None:
        rig = self.homed()
        rig.tick(np.ones(rig.n, bool))
        rig.read()
        assert (rig.condition == Reason.RUNNING).all() and list(rig.messages) == [""] * rig.n
        rig.close()

    def test_close_may_be_called_twice(self) -> None:
        rig = self.homed()
        rig.close()
        rig.close()

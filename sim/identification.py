"""System identification: which numbers of a simulated robot explain what a robot did, and how surely.

A log is cut into short windows. Each begins at the measured state with the setpoints that were on their way, and is
simulated with the accepted setpoints, without contacts: the residual is predicted less measured joint position at
every tick. `mujoco.sysid` searches; a candidate, with all windows, is so many rows of one batch.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from robo_rl.errors import UserError
from robo_rl.log.episode import Episode
from robo_rl.tool_actions import SETPOINT
from sim.parameters import LATENCY, Parameters
from sim.rig import SimRig
from sim.servo import MAX_LATENCY

POSITION, VELOCITY = "joint_position", "joint_velocity"
HISTORY = int(MAX_LATENCY)  # setpoints before a window's start that may still be on their way
STEP = 1e-3  # of a finite difference, in units of a parameter's size
Z = 1.96  # half width of a 95 % interval, in standard deviations


@dataclass(frozen=True)
class Windows:
    """W windows of T ticks of J joints."""

    start: np.ndarray  # (W, 2, J) position [rad] and velocity [rad/s]
    setpoint: np.ndarray  # (W, HISTORY + T, J) [rad] that the robot accepted; the first HISTORY before the start
    position: np.ndarray  # (W, T, J) [rad] measured after each tick
    weight: np.ndarray  # (W, T, J) 1, or 0 from where something blocked the joint
    episode: np.ndarray  # (W,) number of the episode

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, which: slice) -> Windows:
        return Windows(*(value[which] for value in vars(self).values()))

    @property
    def ticks(self) -> int:
        return self.position.shape[1]


def cut(episodes: Sequence[Episode], ticks: int, count: int, seed: int, blocked: float) -> Windows:
    """At most `count` windows of `ticks` ticks, drawn from all episodes.

    Args:
        blocked: a joint that stands still further than this from its setpoint [rad] is held by something that the
            simulated arm does not touch.

    Raises:
        UserError: no episode is long enough.
    """
    places = [
        (e, t)
        for e, episode in enumerate(episodes)
        for t in range(HISTORY + 1, len(episode) - ticks, max(1, ticks // 2))
    ]
    if not places:
        raise UserError(f"log=: no episode is longer than {ticks + HISTORY + 1} ticks")
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    parts = [_window(episodes[e], e, t, ticks, blocked) for e, t in (places[i] for i in sorted(chosen))]
    return Windows(*(np.stack(values) for values in zip(*parts, strict=True)))


def _window(episode: Episode, number: int, start: int, ticks: int, blocked: float) -> tuple[np.ndarray, ...]:
    position, velocity = (np.asarray(episode.obs[key], np.float64) for key in (POSITION, VELOCITY))
    span = slice(start + 1, start + 1 + ticks)
    sent = episode.obs.get(SETPOINT, episode.applied)  # joint setpoints, whatever was commanded
    setpoint = np.asarray(sent[start + 1 - HISTORY : start + 1 + ticks], np.float64)
    held = (np.abs(setpoint[HISTORY:] - position[span]) > blocked) & (np.abs(velocity[span]) < 0.1)
    free = np.cumsum(held, axis=0) == 0
    return np.stack([position[start], velocity[start]]), setpoint, position[span], free * 1.0, np.array(number)


class Simulator:
    """Plays windows on a rig with other numbers, in all its rows at once."""

    def __init__(self, rig: SimRig, names: Sequence[str]) -> None:
        self.parameters = Parameters(rig, names)
        self._rig, self._robot, self._world = rig, rig.robots[0], rig.world
        self._robot.guard = None  # logged setpoints have passed one
        for field in ("geom_contype", "geom_conaffinity"):
            self._world.expand(field)[:] = 0
        joints = [self._world.model.joint(name) for name in self._robot.description.names]
        self._qpos = [int(joint.qposadr[0]) for joint in joints]
        self._dofs = [int(joint.dofadr[0]) for joint in joints]
        self._grid = 1.0 / self._world.substeps  # [ticks] to which a delay is simulated

    def restricted(self, names: Sequence[str]) -> Simulator:
        """The same with fewer numbers; the others are as they were."""
        n = self._world.n
        self.parameters.give(np.arange(n), np.tile(self.parameters.nominal, (n, 1)))
        return Simulator(self._rig, names)

    @contextmanager
    def at_rate(self, factor: float) -> Iterator[None]:
        """Let ticks last `factor` times as long, as near as whole substeps come to it."""
        usual, servos = self._world.substeps, self._robot.servos
        assert servos is not None
        self._world.substeps = servos.substeps = max(1, round(usual * factor))
        try:
            yield
        finally:
            self._world.substeps = servos.substeps = usual

    def predict(self, values: np.ndarray, windows: Windows) -> np.ndarray:
        """Joint positions (C, W, T, J) [rad] with the numbers (C, P). Between two substeps a delay is interpolated, so
        that the prediction has a slope there."""
        if LATENCY not in self.parameters.names:
            return self._play(values, windows)
        column = self.parameters.names.index(LATENCY)
        low, high = values.copy(), values.copy()
        low[:, column] = np.floor(values[:, column] / self._grid + 1e-9) * self._grid
        high[:, column] = np.minimum(low[:, column] + self._grid, MAX_LATENCY)
        share = (values[:, column] - low[:, column]) / self._grid
        between = share > 1e-6
        found = self._play(np.concatenate([low, high[between]]), windows)
        at, above = found[: len(values)], found[len(values) :]
        at[between] += share[between, None, None, None] * (above - at[between])
        return at

    def _play(self, values: np.ndarray, windows: Windows) -> np.ndarray:
        candidate, window = (x.ravel() for x in np.indices((len(values), len(windows))))
        found = np.zeros((len(candidate), windows.ticks, len(self._qpos)))
        for start in range(0, len(candidate), self._world.n):
            part = slice(start, start + self._world.n)
            found[part] = self._rows(values[candidate[part]], windows, window[part])
        return found.reshape(len(values), len(windows), windows.ticks, -1)

    def _rows(self, values: np.ndarray, windows: Windows, which: np.ndarray) -> np.ndarray:
        """One window `which` (K,) a row, with numbers (K, P); (K, T, J)."""
        world, robot, count = self._world, self._robot, len(which)
        rows, live = np.arange(count), np.arange(world.n) < count
        setpoint = np.zeros((world.n, *windows.setpoint.shape[1:]))
        setpoint[rows] = windows.setpoint[which]
        world.reset(live, np.zeros(world.n, np.int64))
        self.parameters.give(rows, values)
        robot.home(live)
        for tick in range(HISTORY):
            robot.write(setpoint[:, tick], live)
        world.qpos[rows[:, None], self._qpos] = windows.start[which, 0]
        world.qvel[rows[:, None], self._dofs] = windows.start[which, 1]
        found = np.zeros((count, windows.ticks, len(self._qpos)))
        for tick in range(windows.ticks):
            robot.write(setpoint[:, HISTORY + tick], live)
            self._rig.tick(live)
            found[:, tick] = world.qpos[:count, self._qpos]
        return found


def rms(predicted: np.ndarray, windows: Windows, tick: int | None = None) -> np.ndarray:
    """Root mean square error (J,) [rad] of a prediction (W, T, J), over all ticks or at one (-1: the last)."""
    which = slice(None) if tick is None else [tick]
    error, weight = (predicted - windows.position)[:, which], windows.weight[:, which]
    return np.sqrt((weight * error**2).sum(axis=(0, 1)) / np.maximum(weight.sum(axis=(0, 1)), 1.0))


def rms_over_time(predicted: np.ndarray, windows: Windows) -> np.ndarray:
    """Root mean square error (T, J) [rad] by ticks since the window's start, of a prediction (W, T, J)."""
    squared = (windows.weight * (predicted - windows.position) ** 2).sum(axis=0)
    return np.sqrt(squared / np.maximum(windows.weight.sum(axis=0), 1.0))


@dataclass(frozen=True)
class Information:
    """What data can say about numbers before any search: the Fisher information at their present values.

    Attributes:
        deviation: (P,) least standard deviation of an unbiased estimate (Cramer-Rao), relative to the number's size;
            infinite where the number moves nothing, or cannot be told from those that are fitted.
        identifiable: (P,) bool.
    """

    names: tuple[str, ...]
    deviation: np.ndarray
    identifiable: np.ndarray


def information(names: Sequence[str], jacobian: np.ndarray, noise: float, limit: float) -> Information:
    """Drop the least certain number until each that remains has a relative standard deviation below `limit`.

    Args:
        jacobian: (R, P) of the positions [rad] with respect to numbers in units of their size.
        noise: standard deviation of a measured position [rad].
    """
    fisher = jacobian.T @ jacobian / noise**2
    deviation = np.full(len(names), np.inf)
    keep = np.flatnonzero(np.diag(fisher) > 0)
    while len(keep):
        scale = 1 / np.sqrt(np.diag(fisher)[keep])
        spread = np.sqrt(np.diag(np.linalg.pinv(fisher[np.ix_(keep, keep)] * np.outer(scale, scale), 1e-12))) * scale
        deviation[keep] = spread
        if spread.max() <= limit:
            break
        keep = np.delete(keep, spread.argmax())
    identifiable = np.isin(np.arange(len(names)), keep)
    return Information(tuple(names), deviation, identifiable)


@dataclass(frozen=True)
class Fit:
    """Fitted numbers (P,) with half widths (P,) of their 95 % intervals, in their own units."""

    names: tuple[str, ...]
    nominal: np.ndarray
    values: np.ndarray
    half_width: np.ndarray
    at_bound: np.ndarray  # (P,) bool: the search ended at the edge of its range


class Problem:
    """Least squares over windows, in units of each number's size."""

    def __init__(self, simulator: Simulator, windows: Windows) -> None:
        self.simulator, self.windows = simulator, windows
        p = simulator.parameters
        self.size, self.low, self.high, self.start = p.size, p.low / p.size, p.high / p.size, p.nominal / p.size

    def residual(self, x: np.ndarray) -> np.ndarray:
        """(R,) for one candidate (P,), (R, C) for columns (P, C): weighted position error [rad]."""
        candidates = (x if x.ndim == 2 else x[:, None]).T * self.size
        windows = self.windows
        error = (self.simulator.predict(candidates, windows) - windows.position) * windows.weight
        found = np.clip(np.nan_to_num(error, nan=10.0), -10, 10).reshape(len(candidates), -1).T
        return found if x.ndim == 2 else found[:, 0]

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """(R, P) by differences, away from the nearer bound."""
        step = np.where(x + STEP <= self.high, STEP, -STEP)
        found = self.residual(np.column_stack([x, x[:, None] + np.diag(step)]))
        return (found[:, 1:] - found[:, :1]) / step

    def informed(self, noise: float, limit: float) -> Information:
        return information(self.simulator.parameters.names, self.jacobian(self.start), noise, limit)

    def fit(self, iterations: int, progress: Callable[[Any], None] | None = None) -> Fit:
        """Search. The delay is scanned first: between two far values nothing slopes the right way."""
        sysid, p = require_sysid(), self.simulator.parameters
        given = sysid.ParameterDict()
        for name, start, low, high in zip(p.names, self._scanned(), self.low, self.high, strict=True):
            given.add(sysid.Parameter(name, start, low, high))
        given.move_off_bounds()
        _, found = sysid.optimize(
            given, lambda x, _: ([self.residual(x)], None, None), verbose=False, max_iters=iterations, eps=STEP,
            xtol=1e-4, output=io.StringIO(), iter_callback=progress,
        )  # fmt: skip
        x = np.asarray(found.x).ravel()
        width = Z * self._deviation(x, np.asarray(found.jac))
        edge = (x - self.low < 1e-3 * (self.high - self.low)) | (self.high - x < 1e-3 * (self.high - self.low))
        return Fit(
            p.names, p.nominal, x * p.size, width * p.size, edge & (x != self.low * (np.array(p.names) == LATENCY))
        )

    def _scanned(self) -> np.ndarray:
        names = self.simulator.parameters.names
        if LATENCY not in names:
            return self.start
        delays = np.linspace(0, MAX_LATENCY, 17)
        x = np.tile(self.start[:, None], len(delays))
        x[names.index(LATENCY)] = delays
        return x[:, (self.residual(x) ** 2).sum(axis=0).argmin()]

    def _deviation(self, x: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """Standard deviations (P,). Errors of one episode go together, so episodes are what is counted: the sandwich
        estimator with episodes as clusters (Liang and Zeger 1986)."""
        windows, residual = self.windows, self.residual(x)
        inverse = np.linalg.pinv(jacobian.T @ jacobian)
        shape = (len(windows), -1)
        scores = (jacobian * residual[:, None]).reshape(*shape, jacobian.shape[1]).sum(axis=1)
        numbers, which = np.unique(windows.episode, return_inverse=True)
        total = np.zeros((len(numbers), jacobian.shape[1]))
        np.add.at(total, which, scores)
        few = len(numbers) / max(1, len(numbers) - 1)
        return np.sqrt(np.diag(inverse @ (few * total.T @ total) @ inverse))


def require_sysid() -> Any:
    """`mujoco.sysid`; a `UserError` of one line where it is not installed."""
    import mujoco.sysid

    if not hasattr(mujoco.sysid, "optimize"):
        raise UserError("sysid: needs MuJoCo's system identification: pip install 'robo-rl[sysid]'")
    return mujoco.sysid

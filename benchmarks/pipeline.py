"""The whole simulated pipeline in control steps a second, against bare physics and against Gymnasium's vectorisation.

A task's expert is run once and its actions are written down. Every candidate then goes through the same episodes with
the same actions: the project's environment with its replay; `mujoco.batch` with nothing around it (the bound); and one
Gymnasium environment a worker under `AsyncVectorEnv` (the peer): a plain one where one was written by hand, else the
task's own. The cost of a policy is in none of them.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv

from benchmarks import reseeded, untrained
from benchmarks.peers import STRIDE, PegEnv
from benchmarks.rows import Row, in_turns
from benchmarks.tasks import names
from policies.compose import Chunked
from robo_rl.app.build import description_path, make_expert
from robo_rl.data.replay import Replay
from robo_rl.env import RigEnv
from robo_rl.loop import run
from robo_rl.policy import Planner
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.types import Action, Obs, Step
from sim.rig import SimRig
from sim.world import World

NOTE = (
    "physics, observation with sensor noise, guard, reward, automatic resets, Replay.add; without a policy; bound: "
    "mujoco.batch alone through the same states"
)


@dataclass(frozen=True)
class Size:
    """One row: `n` simulations, `rounds` windows of `window` ticks after `skip` ticks that are not measured."""

    n: int
    window: int
    rounds: int
    skip: int = 0

    @property
    def ticks(self) -> int:
        return self.skip + (self.rounds + 1) * self.window

    def part(self, number: int) -> range:
        """Ticks of a round."""
        start = self.skip + number * self.window
        return range(start, start + self.window)


SIZES = (Size(64, 50, 7), Size(1024, 8, 5, skip=60))
WORKERS = (2, 4, 16)


class RowSeeds(Seeds):
    """The k-th episode of row r has the seed start + r + k * STRIDE; rows repeat after STRIDE ones."""

    def __init__(self) -> None:
        super().__init__(seed_of(Role.DEMONSTRATE))
        self._count: np.ndarray | None = None

    def take(self, where: np.ndarray) -> np.ndarray:
        rows = np.arange(len(where))
        self._count = np.zeros(len(where), np.int64) if self._count is None else self._count
        seeds = np.where(where, self.start + rows % STRIDE + STRIDE * self._count, -1)
        self._count += where
        return seeds


@dataclass
class Script:
    """What the expert did in STRIDE rows. Lists have one entry a tick."""

    actions: list[np.ndarray] = field(default_factory=list)  # (STRIDE, A) float32
    ctrl: list[np.ndarray] = field(default_factory=list)  # (STRIDE, A), what the guard let through
    live: list[np.ndarray] = field(default_factory=list)  # (STRIDE,) bool, rows that physics then moved
    states: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)  # tick -> rows, states to start from
    physics: str = ""  # time steps, in words

    def steps(self, ticks: range, rows: int) -> int:
        """Control steps of `rows` rows in these ticks."""
        every = np.arange(rows) % STRIDE
        return int(sum(self.live[t][every].sum() for t in ticks))


def write_script(task: str, ticks: int, snapshots: Sequence[int]) -> Script:
    """Run the expert for `ticks` ticks; keep whole states at the ticks `snapshots`, and those of rows that begin."""
    config, env, script = untrained.config(task), untrained.task_env(STRIDE, task), Script()
    rig = env.rig
    assert isinstance(rig, SimRig)

    def observe(step: Step, action: Action) -> None:
        tick = len(script.actions)
        rows = np.arange(STRIDE) if tick in snapshots else np.flatnonzero(step.first)
        if len(rows):
            script.states[tick] = rows, rig.save_state(rows)
        script.actions.append(action.value)
        script.ctrl.append(rig.world.ctrl.copy())
        script.live.append(step.live)

    step = 1e3 * rig.world.dt / rig.world.substeps
    script.physics = f"{rig.world.substeps} physics steps of {step:.2f} ms a control step"
    run(env, make_expert(config.task, config.robot, env), lambda _: len(script.actions) > ticks, RowSeeds(), (observe,))
    env.close()
    return script


class _Idle(Planner):
    """Stands for a base policy: what it would add to actions has its sizes."""

    @property
    def horizon(self) -> int:
        return untrained.HORIZON

    def plan(self, obs: Obs, rows: np.ndarray, samples: int, rng: np.ndarray) -> np.ndarray:
        raise NotImplementedError("the script acts")


class Ours:
    """The project's environment and replay, driven by the script."""

    def __init__(self, task: str, script: Script, size: Size) -> None:
        self.script, self.size, tile = script, size, size.n // STRIDE
        self.env: RigEnv = untrained.task_env(size.n, task)
        self._actions = [np.tile(action, (tile, 1)) for action in script.actions]
        extra_spec = Chunked(_Idle(), untrained.EXECUTE, self.env.act_spec).extra_spec
        self._extra = extra_spec.sample(size.n, np.random.default_rng(0))
        actions = self.env.act_spec.size
        self.replay = Replay(self.env.obs_spec, extra_spec, actions, size.n, size.n * (size.ticks + 1))
        self._step = self.env.reset(np.ones(size.n, bool), RowSeeds())
        self._advance(range(size.skip))

    def __call__(self, number: int) -> float:
        ticks = self.size.part(number)
        start = time.perf_counter()
        self._advance(ticks)
        elapsed = time.perf_counter() - start
        if not np.array_equal(self._step.live[:STRIDE], self.script.live[ticks.stop]):
            raise RuntimeError("pipeline: the environment went another way than the script's")
        return self.script.steps(ticks, self.size.n) / elapsed

    def _advance(self, ticks: range) -> None:
        for tick in ticks:
            value = self._actions[tick]
            self.env.send(value)
            self.replay.add(self._step, Action(value, self._extra))
            self._step = self.env.recv()

    def close(self) -> None:
        self.env.close()


class Bare:
    """`mujoco.batch` alone, through the same states with the same controls."""

    def __init__(self, script: Script, size: Size, world: World) -> None:
        self.script, self.size = script, size
        self.world, self._tile = World(world.model, size.n, world.dt), size.n // STRIDE
        self._ctrl = [np.tile(ctrl, (self._tile, 1)) for ctrl in script.ctrl]
        self._ids = [self._stepped(live) for live in script.live]

    def __call__(self, number: int) -> float:
        ticks = self.size.part(number)
        if ticks.start in self.script.states:
            self._begin(ticks.start)
        start, batch, ctrl, substeps = time.perf_counter(), self.world.batch, self.world.ctrl, self.world.substeps
        for tick in ticks:
            if tick in self.script.states:
                self._begin(tick)
            ctrl[:] = self._ctrl[tick]
            batch.step(self._ids[tick], nstep=substeps)
        return self.script.steps(ticks, self.size.n) / (time.perf_counter() - start)

    def _stepped(self, live: np.ndarray) -> np.ndarray | None:
        return None if live.all() else np.flatnonzero(np.tile(live, self._tile))

    def _begin(self, tick: int) -> None:
        rows, states = self.script.states[tick]
        for first in range(0, self.size.n, STRIDE):
            self.world.load_state(first + rows, states)


class Peer:
    """`AsyncVectorEnv` with one process an environment."""

    def __init__(self, task: str, script: Script, size: Size, workers: int) -> None:
        self.script, self.size, self.workers = script, size, workers
        multiprocessing.set_forkserver_preload(["benchmarks.peers", "benchmarks.reseeded"])
        make = plain(task) or partial(reseeded.make, task)
        self.envs = AsyncVectorEnv([make] * workers, copy=False, context="forkserver")
        start = RowSeeds().start
        self.envs.reset(seed=[start + row for row in range(workers)])
        self._actions = [np.ascontiguousarray(action[:workers]) for action in script.actions]
        self._advance(range(size.skip))

    def __call__(self, number: int) -> float:
        ticks = self.size.part(number)
        start = time.perf_counter()
        self._advance(ticks)
        return self.script.steps(ticks, self.workers) / (time.perf_counter() - start)

    def _advance(self, ticks: range) -> None:
        for tick in ticks:
            self.envs.step(self._actions[tick])

    def close(self) -> None:
        self.envs.close()


def plain(task: str) -> Callable[[], gymnasium.Env] | None:
    """What makes a task's hand-written environment, where it has one."""
    if task != untrained.TASK:
        return None
    return partial(PegEnv, str(description_path(untrained.config(task).robot.description)))


def measure(sizes: Sequence[Size] = SIZES, workers: Sequence[int] = WORKERS, tasks: Sequence[str] = ()) -> list[Row]:
    """One row a task (all, if none is given) and size; a peer is measured with the first size, at the best of its
    numbers of workers."""
    return [row for task in tasks or names() for row in _measure(task, sizes, workers)]


def _measure(task: str, sizes: Sequence[Size], workers: Sequence[int]) -> list[Row]:
    snapshots = {size.part(number).start for size in sizes for number in range(size.rounds + 1)}
    script = write_script(task, max(size.ticks for size in sizes), sorted(snapshots))
    rows, peer, rate = [], None, None
    note = f"{NOTE}; {script.physics}"
    for index, size in enumerate(sizes):
        counts = workers if index == 0 else ()
        rates = _rates(task, script, size, counts)
        if counts:
            best = max(counts, key=lambda count: rates[f"peer {count}"])
            peer, rate = "AsyncVectorEnv", rates[f"peer {best}"]
            which = "a plain Gymnasium environment" if plain(task) else "the task's own Gymnasium environment"
            note += f"; peer: {which} without replay with {best} workers, the best of {', '.join(map(str, counts))}"
        rows.append(Row(f"pipeline {task} N={size.n}", rates["ours"], "steps/s", peer, rate, rates["bare"], note))
    return rows


def _rates(task: str, script: Script, size: Size, workers: Sequence[int]) -> dict[str, float]:
    candidates: dict[str, Callable[[int], float]] = {}
    with ExitStack() as stack:

        def add(name: str, candidate: Any) -> None:
            stack.callback(candidate.close)
            candidates[name] = candidate

        add("ours", ours := Ours(task, script, size))
        assert isinstance(ours.env.rig, SimRig)
        candidates["bare"] = Bare(script, size, ours.env.rig.world)
        for count in workers:
            add(f"peer {count}", Peer(task, script, size, count))
        return in_turns(candidates, size.rounds)

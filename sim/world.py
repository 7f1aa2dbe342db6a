"""Many simulations of one MuJoCo model, stepped together; the only owner of physics state."""

from __future__ import annotations

import importlib.util

import mujoco
import numpy as np

from robo_rl.errors import UserError

MAX_SPEED = 1e3  # [rad/s, m/s] a row that is faster has diverged
_BROKEN = [  # counters of MuJoCo warnings after which a row cannot be trusted
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
    int(mujoco.mjtWarning.mjWARN_BADCTRL),
]


def require_batch() -> None:
    """Raise `UserError`, in one line, where the installed MuJoCo cannot run the bundled simulations."""
    found = mujoco.__version__
    if found == "4.0.0":
        raise UserError("mujoco 4.0.0 has a wrong sparse Cholesky factor; install mujoco>=3.17 but not 4.0.0")
    if importlib.util.find_spec("mujoco.batch") is None:
        raise UserError(f"the bundled simulations need mujoco.batch; install mujoco>=3.17 (found {found})")


class World:
    """N simulations on a thread pool.

    An episode depends on its seed alone: `reset` restores the full integration state, warm start included, and
    clears what the previous episode left. Results do not depend on the row, on N, or on the thread count.

    Args:
        model: the compiled model; `substeps` of its time step make one control tick.
        n: simulations.
        dt: control period [s].
        nthread: threads; 0 is one a CPU.

    Attributes:
        qpos, qvel, ctrl, mocap_pos, mocap_quat: live views (N, ...); a write is the simulation's state.
        seed, tick: (N,) int64, the row's episode and its control ticks so far.
        fresh: (N,) bool, rows reset or loaded since the last step.
        diverged: (N,) bool, rows that broke since their reset; they keep the state before the tick that broke them.
    """

    def __init__(self, model: mujoco.MjModel, n: int, dt: float, nthread: int = 0) -> None:
        require_batch()
        import mujoco.batch

        self.model, self.n, self.dt = model, n, dt
        self.substeps = round(dt / model.opt.timestep)
        if abs(self.substeps * model.opt.timestep - dt) > 1e-9:
            raise ValueError(f"time step {model.opt.timestep} s does not divide the control period {dt} s")
        self.batch = mujoco.batch.Batch(model, n, nthread)
        self.qpos, self.qvel = self.batch.bind("qpos"), self.batch.bind("qvel")
        self.ctrl = self.batch.bind("ctrl")
        self.mocap_pos, self.mocap_quat = self.batch.bind("mocap_pos"), self.batch.bind("mocap_quat")
        self._state = np.asarray(self.batch.bind("time").base)  # (N, nstate): every state field is a view of it
        self._before = self._state.copy()
        self._initial = self._state[0].copy()
        self.seed, self.tick = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.fresh, self.diverged = np.ones(n, bool), np.zeros(n, bool)

    def expand(self, field: str) -> np.ndarray:
        """Per-simulation values of a model field, live, (N, ...): domain randomisation writes here."""
        return self.batch.expand(field)

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        """Put rows `where` (N,) bool at the model's initial state, for the episodes of `seeds` (N,) int64."""
        self._state[where] = self._initial
        self.seed[where] = seeds[where]
        self.tick[where] = 0
        self._forget(where)

    def step(self, live: np.ndarray) -> None:
        """One control tick of the rows `live` (N,) bool; the others stand still."""
        self.advance(live, self.substeps)
        self.count(live)

    def count(self, live: np.ndarray) -> None:
        """A control tick of the rows `live` (N,) bool is over."""
        self.tick += live
        self.fresh &= ~live

    def advance(self, live: np.ndarray, substeps: int) -> None:
        """Physics alone: so many time steps of the rows `live` (N,) bool."""
        ids = None if live.all() else np.flatnonzero(live)
        self._before[:] = self._state
        failed, speed = self._step(ids, substeps), np.abs(self.qvel)
        warned = self.batch.warning.any()
        if failed is None and not warned and speed.max() < MAX_SPEED:  # NaN compares false
            return
        broken = ~(speed.max(axis=1) < MAX_SPEED)
        if failed is not None:
            broken[failed] = True
        if warned:
            broken |= self.batch.warning[:, _BROKEN, 1].any(axis=1)
            self.batch.warning[:] = 0
        self._state[broken] = self._before[broken]
        self.diverged |= broken & live

    def _step(self, ids: np.ndarray | None, substeps: int) -> np.ndarray | None:
        """Step; ids of the simulations in which MuJoCo raised an error (they keep their state)."""
        if ids is not None and not len(ids):
            return None
        try:
            self.batch.step(ids, nstep=substeps)
        except mujoco.batch.SimulationError as error:
            return np.asarray(error.ids)
        return None

    def sense(self) -> None:
        """Make what MuJoCo computes (its `sensordata`) current in fresh rows; a step does so by itself."""
        rows = np.flatnonzero(self.fresh)
        if rows.size:
            kept = self._state[rows]
            self.batch.forward(rows)
            self._state[rows] = kept  # the solver's warm start is part of it

    def save_state(self, rows: np.ndarray) -> np.ndarray:
        """Full state of some rows, (K, nstate + 2) float64: integration state, seed, tick."""
        rows = np.asarray(rows)
        return np.column_stack([self._state[rows], self.seed[rows], self.tick[rows]])

    def load_state(self, rows: np.ndarray, state: np.ndarray) -> None:
        """Restore what `save_state` returned, into the same or other rows."""
        where = np.zeros(self.n, bool)
        where[rows] = True
        self._state[rows] = state[:, :-2]
        self.seed[rows], self.tick[rows] = state[:, -2], state[:, -1]
        self._forget(where)

    def _forget(self, where: np.ndarray) -> None:
        self.fresh |= where
        self.diverged &= ~where
        self.batch.warning[where] = 0

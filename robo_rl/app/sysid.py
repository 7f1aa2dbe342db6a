"""`robo-rl sysid`: from logs of a robot to the numbers of its simulated twin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from robo_rl.app import replay, runs, session
from robo_rl.app.build import make_rig
from robo_rl.errors import UserError
from robo_rl.log.episode import Episode
from robo_rl.log.reader import find_logs, read_log
from robo_rl.spec import Spec
from robo_rl.tool_actions import SETPOINT
from sim.identification import (
    POSITION,
    VELOCITY,
    Fit,
    Information,
    Problem,
    Simulator,
    Windows,
    cut,
    require_sysid,
    rms,
)
from sim.parameters import expand
from sim.rig import SimRig

MEASURED = (POSITION, VELOCITY)  # observations that are simulated again


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the log remembers, but for the fitted numbers it was recorded with: they are what is looked for."""
    found = replay.implied(given)
    return {key: value for key, value in found.items() if key != "robot.params"}


def main(config: DictConfig) -> None:
    """Write `out`/fit.yaml and `out`/result.json: what was fitted, how surely, and the error before and after."""
    if config.log is None:
        raise UserError("log=: sysid needs a log, a run folder, a list or a glob")
    require_sysid()
    rig = simulated_rig(config, config.n)
    try:
        simulator = Simulator(rig, expand(runs.values(config.params), rig.robots[0].description.names))
        fitted, judged = _windows(config, episodes(config, rig), rig.dt)
        out = runs.new_folder(config, "sysid")
        before = simulator.predict(simulator.parameters.nominal[None], judged)[0]
        informed = Problem(simulator, fitted).informed(config.noise, config.limit)
        _show(informed)
        names = [name for name, good in zip(informed.names, informed.identifiable, strict=True) if good]
        if not names:
            raise UserError(f"log={config.log}: none of the numbers can be told from it; it needs more motion")
        simulator = simulator.restricted(names)
        fit = _search(simulator, fitted, config.iterations)
        after = simulator.predict(fit.values[None], judged)[0]
        error = _errors(before, after, judged, rig.robots[0].description.names)
    finally:
        rig.close()
    _write(config, out, rig.robots[0].description.name, informed, fit, error)


def simulated_rig(config: DictConfig, n: int) -> SimRig:
    """The rig of `robot=`, n rows; a `UserError` where it is not simulated."""
    if "params" not in config.robot:
        raise UserError(f"robot={config.robot.name}: is not simulated; give its twin, e.g. robot=so101_sim")
    rig = make_rig(config.task, config.robot, n)
    assert isinstance(rig, SimRig)
    return rig


def episodes(config: DictConfig, rig: SimRig) -> list[Episode]:
    """Episodes of `log=`, those that broke off, too. Raises `SpecMismatch` where they are of another robot."""
    robot = rig.robots[0]
    need = Spec({key: robot.obs_spec[key] for key in MEASURED} | {SETPOINT: robot.description.act_spec})
    logs = [read_log(path) for path in find_logs(runs.values(config.log))]
    for log in logs:
        measured = {key: log.obs_spec[key] for key in MEASURED if key in log.obs_spec}
        have = Spec(measured | {SETPOINT: log.obs_spec.get(SETPOINT, log.act_spec)})
        replay.require_fits(log, have, need, rig.dt, f"robot={config.robot.name}")
    return [episode for log in logs for episode in log.episodes]


def _windows(config: DictConfig, found: list[Episode], dt: float) -> tuple[Windows, Windows]:
    """Windows to fit and windows to judge, of different episodes."""
    order = np.random.default_rng(config.seed).permutation(len(found))
    split = max(1, round(config.held_out * len(found)))
    if split >= len(found):
        raise UserError(f"log={config.log}: {len(found)} episodes; sysid needs at least two, one is held out")
    ticks = max(1, round(config.seconds / dt))
    parts = ([found[i] for i in order[split:]], [found[i] for i in order[:split]])
    fitted, judged = (cut(part, ticks, config.windows, config.seed, config.blocked) for part in parts)
    return fitted, judged


def _search(simulator: Simulator, windows: Windows, iterations: int) -> Fit:
    with Console(stderr=True).status("sysid: searching") as status:

        def progress(trace: list[Any]) -> None:
            status.update(f"sysid: iteration {len(trace)}, squared error {trace[-1].objective:.4g} rad2")

        return Problem(simulator, windows).fit(iterations, progress)


def _errors(before: np.ndarray, after: np.ndarray, judged: Windows, names: tuple[str, ...]) -> dict[str, Any]:
    """Root mean square errors [rad] on the held-out episodes, per joint and over all joints."""
    found: dict[str, Any] = {"windows": len(judged), "unit": "rad"}
    for name, tick in (("at_end", -1), ("whole_window", None)):
        errors = [rms(predicted, judged, tick) for predicted in (before, after)]
        total = [float(np.sqrt(np.mean(error**2))) for error in errors]
        joints = {joint: {"before": a, "after": b} for joint, a, b in zip(names, *errors, strict=True)}
        found[name] = {"before": total[0], "after": total[1], "joints": joints}
    return found


def _write(config: DictConfig, out: Path, robot: str, informed: Information, fit: Fit, error: dict[str, Any]) -> None:
    columns = (fit.names, fit.nominal, fit.values, fit.half_width, fit.at_bound)
    numbers = {
        name: {
            "before": before, "value": value, "ci_low": max(0.0, value - half), "ci_high": value + half,
            "at_bound": bool(edge),
        }
        for name, before, value, half, edge in zip(*columns, strict=True)
    }  # fmt: skip
    least = dict(zip(informed.names, map(float, informed.deviation), strict=True))
    not_told = [name for name, good in zip(informed.names, informed.identifiable, strict=True) if not good]
    result = {"robot": robot, "held_out_error": error, "fitted": numbers, "not_identifiable": not_told}
    runs.write_json(out / "result.json", {**result, "relative_deviation_beforehand": least})
    values = {name: float(f"{value:.6g}") for name, value in zip(fit.names, fit.values, strict=True)}
    runs.write_text(out / "fit.yaml", yaml.safe_dump({"robot": robot, "values": values}, sort_keys=False))
    shown = [(name, _line(number)) for name, number in numbers.items()]
    end = error["at_end"]
    shown.append((f"error after {config.seconds} s, held out [rad]", f"{end['before']:.4g} -> {end['after']:.4g}"))
    session.show("sysid", [*shown, ("out", out / "fit.yaml")])


def _line(number: dict[str, Any]) -> str:
    edge = ", at the edge of its range" if number["at_bound"] else ""
    interval = f"{number['ci_low']:.4g} to {number['ci_high']:.4g}"
    return f"{number['before']:.4g} -> {number['value']:.4g} (95 % interval {interval}{edge})"


def _show(informed: Information) -> None:
    """What the data can tell, before anything is fitted."""
    table = Table("number", "least deviation", "is fitted", title="what the logs can tell (Fisher information)")
    for name, spread, good in zip(informed.names, informed.deviation, informed.identifiable, strict=True):
        table.add_row(name, f"{spread:.1%}" if np.isfinite(spread) else "unbounded", "yes" if good else "no")
    Console().print(table)

"""`robo-rl gap`: the same commands on a robot and its simulated twin; how far they lie apart, and why."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from robo_rl.app import runs, session, sysid
from robo_rl.errors import UserError
from sim import gap
from sim.identification import Simulator, cut, rms, rms_over_time
from sim.parameters import expand

implied = sysid.implied


def main(config: DictConfig) -> None:
    """Write `out`/result.json: errors by joint and time, and every possible cause with what it explains."""
    if config.log is None:
        raise UserError("log=: gap needs a log, a run folder, a list or a glob")
    rig = sysid.simulated_rig(config, config.n)
    try:
        joints = rig.robots[0].description.names
        simulator = Simulator(rig, expand(gap.GROUPS, joints))
        ticks = max(1, round(config.seconds / rig.dt))
        windows = cut(sysid.episodes(config, rig), ticks, config.windows, config.seed, config.blocked)
        out = runs.new_folder(config, "gap")
        predicted = simulator.predict(simulator.parameters.nominal[None], windows)[0]
        found = gap.causes(simulator, windows, joints)
        table = dict(zip(joints, rms_over_time(predicted, windows).T.tolist(), strict=True))
        error = dict(zip(joints, rms(predicted, windows).tolist(), strict=True))
        dt = rig.dt
    finally:
        rig.close()
    listed: list[dict[str, Any]] = [
        {"cause": cause.name, "detail": cause.detail, "explained": cause.explained,
         "error": dict(zip(joints, cause.error.tolist(), strict=True))}
        for cause in found
    ]  # fmt: skip
    result = {"robot": config.robot.name, "windows": len(windows), "unit": "rad", "error": error, "causes": listed}
    runs.write_json(out / "result.json", {**result, "dt": dt, "error_over_time": table})
    shown = [(f"error of {joint} [rad]", value) for joint, value in error.items()]
    shown += [(f"{cause.name}: {cause.detail}", f"explains {max(0.0, cause.explained):.0%}") for cause in found]
    session.show("gap", [*shown, ("out", out)])

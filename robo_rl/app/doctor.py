"""`robo-rl doctor`: what this machine can do, and what each gap costs."""

from __future__ import annotations

import glob
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.clock import Deadline
from robo_rl.evaluate.machine import describe_machine

PACKAGES = (
    "robo-rl",
    "mujoco",
    "torch",
    "numpy",
    "gymnasium",
    "stable-baselines3",
    "hydra-core",
    "mcap",
    "opencv-python",
)
LATE = 1000.0  # [us] at p99 above which 500 Hz servo loops are out of reach
RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
with mujoco.Renderer(model, 64, 64) as renderer:
    mujoco.mj_forward(model, data)
    renderer.update_scene(data)
    renderer.render()
"""
GRANTED = "from hardware import realtime; print(realtime.acquire(50).text)"

Finding = tuple[bool, str, Any]
"""Whether it is there, what was found or what its absence costs, and the value for result.json."""


def main(config: DictConfig) -> None:
    """Print one line a check; with `out` given, write result.json."""
    out = runs.made_folder(config.out)
    checks: dict[str, Callable[[], Finding]] = {
        "rendering": _rendering,
        "simulation": _simulation,
        "pacing": lambda: _pacing(config.seconds),
        "accelerator": _accelerator,
        "serial ports": _serial_ports,
        "real-time priority": _realtime,
        "memory locking": _memory,
    }
    findings = {name: check() for name, check in checks.items()}
    versions = {name: _version(name) for name in PACKAGES}
    rows = [(name, f"{'ok  ' if ok else 'gap '} {text}") for name, (ok, text, _) in findings.items()]
    rows += [("machine", describe_machine()), ("python", sys.version.split()[0])]
    session.show("doctor", [*rows, *versions.items()])
    if out is not None:
        result = {name: {"ok": ok, "text": text, "value": value} for name, (ok, text, value) in findings.items()}
        about = {"machine": describe_machine(), "python": sys.version.split()[0], "versions": versions}
        runs.write_json(out / "result.json", result | about)


def _rendering() -> Finding:
    done = subprocess.run([sys.executable, "-c", RENDER], capture_output=True, text=True, timeout=120, check=False)
    backend = os.environ.get("MUJOCO_GL", "default")
    if done.returncode == 0:
        return True, f"off-screen rendering with {backend}", backend
    return False, "no off-screen rendering: no videos, no camera observations; install libegl1 and libgl1", None


def _simulation() -> Finding:
    if importlib.util.find_spec("mujoco") is None:
        return False, "no MuJoCo: no simulation; install mujoco", None
    import mujoco

    found = importlib.util.find_spec("mujoco.batch") is not None
    if found:
        return True, f"MuJoCo {mujoco.__version__} with mujoco.batch", mujoco.__version__
    return (
        False,
        f"MuJoCo {mujoco.__version__} has no mujoco.batch: the bundled tasks need 3.17 or later",
        mujoco.__version__,
    )


def _pacing(seconds: float) -> Finding:
    deadline = Deadline(0.002)
    for _ in range(max(1, int(seconds / deadline.dt))):
        deadline.wait()
    p50, p99, worst = np.percentile(deadline.late * 1e6, [50, 99, 100])
    value = {"wake_p50_us": p50, "wake_p99_us": p99, "wake_max_us": worst, "deadline_misses": deadline.misses}
    text = f"500 Hz: wake-ups p50 {p50:.0f}, p99 {p99:.0f}, max {worst:.0f} us late, {deadline.misses} deadlines missed"
    return (
        bool(p99 < LATE),
        text + ("" if p99 < LATE else ": policies at 50 Hz run, servo loops at 500 Hz do not"),
        value,
    )


def _accelerator() -> Finding:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if names:
        return True, ", ".join(names), names
    return False, "none: training runs on the CPU (device=cpu)", []


def _serial_ports() -> Finding:
    ports = sorted(glob.glob("/dev/ttyACM*") + glob.glob("/dev/ttyUSB*") + glob.glob("/dev/serial/by-id/*"))
    closed = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        return False, f"{', '.join(closed)}: no permission; add yourself to the dialout group", ports
    return bool(ports), ", ".join(ports) or "none: no arm on a serial bus can be driven from here", ports


def _realtime() -> Finding:
    """Asked for in another process, as a driver does."""
    done = subprocess.run([sys.executable, "-c", GRANTED], capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout.strip() or "cannot be asked for"
    granted = "refused" not in text and done.returncode == 0
    return granted, text + ("" if granted else ": a busy machine delays control ticks"), granted


def _memory() -> Finding:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    unlimited = soft == resource.RLIM_INFINITY
    text = "unlimited" if unlimited else f"limited to {soft // 1024} KiB: page faults may delay a control tick"
    return unlimited, text, soft


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

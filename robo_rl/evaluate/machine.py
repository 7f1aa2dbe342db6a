"""One line that says what machine a number was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """For example "AMD EPYC 7763, 2 cores, no accelerator, Linux x86_64"."""
    return ", ".join([_processor(), f"{_cores()} cores", _accelerator(), f"{platform.system()} {platform.machine()}"])


def _cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _accelerator() -> str:
    """NVIDIA devices from the driver's own listing: no accelerator library is imported to find them."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text().splitlines()
        names += [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model")]
    return f"{len(names)} x {names[0]}" if names else "no accelerator"

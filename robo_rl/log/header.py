"""What stands at the start of every log file, as JSON attachments: the specs and what the run was."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from robo_rl.log.schema import FORMAT
from robo_rl.spec import Feature, Spec
from robo_rl.types import PRIVILEGED


class Specs(NamedTuple):
    """The specs of a log."""

    obs: Spec
    action: Feature
    extra: Spec


def fingerprint(obs_spec: Spec, act_spec: Feature) -> str:
    """16 hex digits of what a policy sees and commands, privileged simulation state left out."""
    seen = {f"obs/{key}": feature for key, feature in obs_spec.without(PRIVILEGED).items()}
    return Spec({**seen, "action": act_spec}).fingerprint()


def complete(meta: Mapping[str, Any], dt: float) -> dict[str, Any]:
    """`meta` with the control period dt [s], software versions and the format's number."""
    return {**meta, "dt": dt, "versions": _versions() | dict(meta.get("versions", {})), "format": FORMAT}


def attachments(specs: Specs, meta: Mapping[str, Any]) -> dict[str, bytes]:
    """Attachments by name."""
    spec = {"obs": specs.obs.to_json(), "action": specs.action.to_json(), "extra": specs.extra.to_json()}
    meta = {**meta, "fingerprint": fingerprint(specs.obs, specs.action)}
    return {"meta.json": to_text(meta).encode(), "spec.json": json.dumps(spec).encode()}


def to_text(data: Any) -> str:
    """JSON of what configurations hold."""
    return json.dumps(data, default=_plain)


def parse(data: Mapping[str, bytes]) -> tuple[Specs, dict[str, Any]]:
    """Specs and meta from the attachments. Raises ValueError or KeyError where they are not what they should be."""
    meta, spec = json.loads(data["meta.json"]), json.loads(data["spec.json"])
    if meta["format"] > FORMAT:
        raise ValueError(f"written in format {meta['format']}; this version reads up to {FORMAT}")
    return Specs(Spec.from_json(spec["obs"]), Feature.from_json(spec["action"]), Spec.from_json(spec["extra"])), meta


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("robo-rl", "numpy", "mcap", "protobuf", "mujoco", "torch", "gymnasium"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _plain(value: Any) -> Any:
    """JSON for what configurations hold besides JSON's own types."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)

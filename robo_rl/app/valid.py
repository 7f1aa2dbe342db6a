"""What the values of keys may be, where a command or a training program reads them as they are. What becomes an object
of its own (`learner.config`, `learner.online`, ...) is judged by that object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from robo_rl.errors import UserError
from robo_rl.ranges import (
    COUNT,
    COUNT_OR_NONE,
    INSIDE_0_1,
    NAMES,
    NOT_NEGATIVE,
    POSITIVE,
    PRIORITY,
    SHARE,
    SHARE_BELOW_1,
    TEXT,
    Range,
    whole,
    widths,
)
from robo_rl.seeds import RUN

EVERYWHERE: Mapping[str, Range] = {
    "episodes": COUNT,
    "n": COUNT,
    "seed": RUN,
    "windows": COUNT,
    "robot.description": TEXT,
    "task.rig.nthread": COUNT_OR_NONE,
    "task.expert.noise": NOT_NEGATIVE,
    "task.expert.correlation": SHARE,
    "task.expert.config.noise": NOT_NEGATIVE,
    "task.camera.width": COUNT,
    "task.camera.height": COUNT,
    "env_id": TEXT.or_null,
    "success_key": TEXT.or_null,
    "expert": TEXT.or_null,
    "priority": PRIORITY,
    "candidates": COUNT,
}
"""Keys that are read alike by the commands that have them; what `OF_COMMAND` says of one comes first."""

TRAIN: Mapping[str, Range] = {
    "threads": COUNT_OR_NONE,
    "log_fraction": SHARE,
    "policy.horizon": COUNT,
    "policy.execute": COUNT,
    "policy.hidden": widths(0),
    "learner.rows": COUNT,
    "learner.eval_rows": COUNT,
    "learner.hidden": widths(1),
    "learner.heads": whole(2),  # the target is the least of two
    "learner.dropout": SHARE_BELOW_1,
    "learner.scale": NOT_NEGATIVE,
    "learner.noise": NOT_NEGATIVE,
    "learner.capacity": COUNT,
    "learner.checkpoints": COUNT,
    "learner.episodes": COUNT,
    "learner.candidates": COUNT,
    "learner.updates": COUNT,
    "learner.batch": COUNT,
    "learner.actor.samples": COUNT,
}

OF_COMMAND: Mapping[str, Mapping[str, Range]] = {
    "calibrate": {"views": COUNT, "seconds": POSITIVE},
    "deploy": {"seconds": NOT_NEGATIVE},
    "doctor": {"seconds": POSITIVE},
    "distil": {"rounds": COUNT, "report_episodes": COUNT},
    "evaluate": {"updates": COUNT},
    "find": {"ids": whole(0, 252), "patience": POSITIVE},
    "gap": {"seconds": POSITIVE, "blocked": NOT_NEGATIVE, "seed": COUNT_OR_NONE},
    "home": {"seconds": POSITIVE},
    "record": {"noise": NOT_NEGATIVE.or_null},
    "replay": {"tolerance": NOT_NEGATIVE},
    "report": {"episodes": COUNT_OR_NONE},
    "sysid": {
        "seconds": POSITIVE, "blocked": NOT_NEGATIVE, "seed": COUNT_OR_NONE, "held_out": INSIDE_0_1, "noise": POSITIVE,
        "limit": POSITIVE, "iterations": COUNT, "params": NAMES,
    },
    "teleoperate": {"seconds": NOT_NEGATIVE},
    "train": TRAIN,
    "view": {"seconds": NOT_NEGATIVE, "port": whole(1, 65535)},
}  # fmt: skip


def check_values(command: str, config: DictConfig) -> None:
    """Raise `UserError` for a value that a command could not use."""
    for key, valid in {**EVERYWHERE, **OF_COMMAND.get(command, {})}.items():
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        if isinstance(node, DictConfig) and name in node:
            valid.check(key, _plain(node[name]))
    if command == "train" and config.policy.execute > config.policy.horizon:
        raise UserError(
            f"policy.execute={config.policy.execute}: expected at most {config.policy.horizon}, the actions in a chunk "
            "(policy.horizon)"
        )


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value

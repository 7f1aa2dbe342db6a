"""`robo-rl train`: a learner, its data and its environment become a run folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from robo_rl.app import runs, session
from robo_rl.app.build import instantiate, make_env, scenario
from robo_rl.app.context import Context
from robo_rl.errors import UserError
from robo_rl.log.metrics import JsonLines, Metrics, TensorBoard, Terminal
from robo_rl.seeds import Role, seed_of

SHOWN = ("success", "noisy_success", "env_steps_per_s", "updates_per_s", "bc_loss", "gate")


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_bundle(given, "base") or runs.remembered_by_log(given, "dataset")


def main(config: DictConfig) -> None:
    """Run the program that `learner._target_` names; it writes checkpoints, the bundle and result.json into `out`."""
    import torch  # takes seconds

    seed_of(Role.TRAIN, config.seed)  # in range?
    for key in config.learner.needs:
        _require_folder(config, key)
    learner = {key: value for key, value in config.learner.items() if key != "needs"}
    if config.threads:
        torch.set_num_threads(config.threads)
    with session.interruption() as interrupted:
        context = _context(config, interrupted)
        policy = OmegaConf.to_container(config.policy)
        try:
            result = instantiate(OmegaConf.create(learner), context=context, policy=policy)
        except UserError:
            _discard_unless_trained(context.out)
            raise
        finally:
            context.sink.close()
    shown = [("success", session.percent(result.get("success_rate"))), ("wall clock [s]", result["wall_clock_s"])]
    shown += [(key, result[key]) for key in ("gate", "promoted", "env_steps_trained") if key in result]
    session.show(f"train {config.task.name}", [*shown, ("out", context.out)])


def _context(config: DictConfig, interrupted: Callable[[], bool]) -> Context:
    out = _resumed_folder(config) if config.resume else runs.new_folder(config, "train")
    step = _checkpoint_step(out) if config.resume else None
    sink = Metrics(
        JsonLines(out / "metrics.jsonl", resume=step),
        TensorBoard(out / "tensorboard", resume=step),
        Terminal(total=OmegaConf.select(config, "learner.online.steps"), keys=SHOWN),
    )
    overrides = {"nthread": config.threads} if config.threads else {}
    return Context(
        config=config,
        out=out,
        make_env=lambda n: make_env(config.task, config.robot, n, **overrides),
        scenario=scenario(config),
        dataset=_given(config.dataset),
        base="" if config.base is None else str(config.base),
        seed=config.seed,
        device=runs.device(config.device),
        resume=config.resume,
        log_fraction=config.log_fraction,
        sink=sink,
        interrupted=interrupted,
    )


def _require_folder(config: DictConfig, key: str) -> None:
    """Raise before anything is written."""
    if config[key] is None:
        raise UserError(f"{key}=: this learner needs it; see robo-rl train --help")
    for folder in runs.values(config[key]):
        if not Path(folder).expanduser().exists():
            raise UserError(f"{key}={folder}: no such folder")


def _discard_unless_trained(out: Path) -> None:
    """Remove the folder of a run that ended before anything was learned; a checkpoint or a policy stays."""
    if not any((out / name).exists() for name in ("checkpoint", "checkpoint.old", "policy")):
        shutil.rmtree(out, ignore_errors=True)


def _given(value: Any) -> str | list[str]:
    """One folder, several, or "" for none."""
    folders = [] if value is None else runs.values(value)
    return folders if len(folders) > 1 else "".join(folders)


def _resumed_folder(config: DictConfig) -> Path:
    out = Path(str(config.out)).expanduser()
    if config.out is None or not (out / "config.yaml").exists():
        raise UserError(f"resume=true: out={config.out} is not the folder of a run that can go on")
    return out


def _checkpoint_step(out: Path) -> int:
    """Environment steps at the last checkpoint; 0 where there is none."""
    try:
        return int(json.loads((out / "checkpoint" / "progress.json").read_text())["env_steps"])
    except (OSError, ValueError, KeyError):
        return 0

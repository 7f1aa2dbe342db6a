"""`robo-rl train`: a learner, its data and its environment become a run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from robo_rl.app import runs, session
from robo_rl.app.build import instantiate, make_env, scenario
from robo_rl.app.context import Context
from robo_rl.errors import UserError
from robo_rl.folders import whole
from robo_rl.log.metrics import JsonLines, Metrics, TensorBoard, Terminal

SHOWN = ("success", "noisy_success", "env_steps_per_s", "updates_per_s", "bc_loss", "gate")
TRAINED = ("checkpoint", "checkpoint.old", "policy")  # what a run leaves that learned something
METRICS, EVENTS = "metrics.jsonl", "tensorboard"
WRITTEN = ("spec.json", METRICS, EVENTS, "log")  # what it leaves besides
STEPS = "learner.online.steps"
MAY_CHANGE = ("out", "resume", "device", "threads", "log_fraction", STEPS)  # of a run that goes on
OF_THE_COMMAND = ("needs", "resumes")  # keys of a learner that its program is not given


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_bundle(given, "base") or runs.remembered_by_log(given, "dataset")


def main(config: DictConfig) -> None:
    """Run the program that `learner._target_` names; it writes checkpoints, the bundle and result.json into `out`."""
    import torch  # takes seconds

    require_given(config)
    runs.device(config.device)
    if config.resume and (done := _finished(config)) is not None:
        _show(config, done, _resumed_folder(config))
        return
    learner = {key: value for key, value in config.learner.items() if key not in OF_THE_COMMAND}
    if config.threads:
        torch.set_num_threads(config.threads)
    with session.interruption() as interrupted, _folder(config) as out:
        context = _context(config, out, interrupted)
        policy = OmegaConf.to_container(config.policy)
        try:
            result = instantiate(OmegaConf.create(learner), context=context, policy=policy)
        finally:
            context.sink.close()
    _show(config, result, out)


def require_given(config: DictConfig) -> None:
    """Raise `UserError` unless there is what the learner needs; nothing was written by then."""
    for key in config.learner.needs:
        _require_folder(config, key)
    if config.base is not None:
        runs.require_policy("base", config.base)


def _show(config: DictConfig, result: Mapping[str, Any], out: Path) -> None:
    shown = [("success", session.percent(result.get("success_rate"))), ("wall clock [s]", result["wall_clock_s"])]
    shown += [(key, result[key]) for key in ("gate", "promoted", "env_steps_trained") if key in result]
    session.show(f"train {config.task.name}", [*shown, ("out", out)])


def _context(config: DictConfig, out: Path, interrupted: Callable[[], bool]) -> Context:
    step = _checkpoint_step(out) if config.resume else None
    sink = Metrics(
        JsonLines(out / METRICS, resume=step),
        TensorBoard(out / EVENTS, resume=step),
        Terminal(total=OmegaConf.select(config, STEPS), keys=SHOWN),
    )
    overrides = {"nthread": config.threads} if config.threads else {}
    return Context(
        config=config,
        out=out,
        make_env=lambda n: make_env(config.task, config.robot, n, **overrides),
        scenario=scenario(config),
        dataset=_given(config.dataset),
        base="" if config.base is None else str(Path(str(config.base)).expanduser()),
        seed=config.seed,
        device=runs.device(config.device),
        resume=config.resume,
        log_fraction=config.log_fraction,
        sink=sink,
        interrupted=interrupted,
    )


def _require_folder(config: DictConfig, key: str) -> None:
    if config[key] is None:
        raise UserError(f"{key}=: this learner needs it; see robo-rl train --help")
    for folder in runs.values(config[key]):
        if not Path(folder).expanduser().exists():
            raise UserError(f"{key}={folder}: no such folder")


@contextmanager
def _folder(config: DictConfig) -> Iterator[Path]:
    """Of a run that goes on, or a new one, which is taken back where a mistake ends it before anything is learned."""
    if config.resume:
        out = _resumed_folder(config)
        if not config.learner.get("resumes", True):
            raise UserError("resume=true: this learner keeps no checkpoint; start again with another out=")
        _require_more(out, config)
        with runs.taken_up(out, config, "train", lambda: _checkpoint_step(out)):
            yield out
        return
    with runs.fresh_folder(config, "train", WRITTEN, TRAINED) as out:
        yield out


def _given(value: Any) -> str | list[str]:
    """One folder, several, or "" for none."""
    folders = [] if value is None else runs.values(value)
    return folders if len(folders) > 1 else "".join(folders)


def _resumed_folder(config: DictConfig) -> Path:
    out = Path(str(config.out)).expanduser()
    if config.out is None or not (out / "config.yaml").exists():
        raise UserError(f"resume=true: out={config.out} is not the folder of a run that can go on")
    runs.require_begun_with(out, config, "train", MAY_CHANGE)
    return out


def _finished(config: DictConfig) -> dict[str, Any] | None:
    """The result of the run in `out=`; None where it goes on, or where more or fewer steps are asked for."""
    out = _resumed_folder(config)
    try:
        result = json.loads((out / runs.RESULT).read_text())
    except (OSError, ValueError):
        return None
    if _steps_of(out) != OmegaConf.select(config, STEPS):
        return None
    session.note(f"out={out}: this run is finished; nothing is left to do")
    return result


def _steps_of(out: Path) -> int | None:
    """The steps that the run in a folder was last asked for; None where its learner counts none."""
    return OmegaConf.select(OmegaConf.load(out / runs.CONFIG), STEPS)


def _require_more(out: Path, config: DictConfig) -> None:
    """A run cannot undo steps."""
    asked, done = OmegaConf.select(config, STEPS), _checkpoint_step(out)
    if asked is not None and asked != _steps_of(out) and asked < done:
        raise UserError(f"{STEPS}={asked}: the run in out={out} has done {done} already; give more, or another out=")


def _checkpoint_step(out: Path) -> int:
    """The step of the metrics at the last checkpoint; 0 where there is none."""
    place = whole(out / "checkpoint", "progress.json")
    try:
        progress = {} if place is None else json.loads((place / "progress.json").read_text())
        return int(progress["update" if "update" in progress else "env_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0

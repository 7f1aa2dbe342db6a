"""`robo-rl distil`: what a residual has learned becomes a new base, and a residual may learn on top of that again.

A round records episodes of the policy (its successes are demonstrations now), clones them, evaluates the clone on the
report's seeds, and, with `again=true`, trains a residual on the clone. Every step is a command of its own that can be
typed by hand; one whose result is there is skipped, so an interrupted round goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from robo_rl.app import runs, session
from robo_rl.app.compose import compose, quote
from robo_rl.app.steps import step
from robo_rl.errors import UserError
from robo_rl.evaluate.statistics import paired_by_seed

REPORT = "_report"  # what a step's evaluation is called


def main(config: DictConfig) -> None:
    """`rounds` rounds, each on what the one before it made; result.json has the success after each step."""
    if config.run is None:
        raise UserError("run=: distil needs the run folder or bundle of a policy; see robo-rl distil --help")
    runs.require_policy("run", config.run)
    _check(config)
    out, policy = _folder(config), str(config.run)
    reports: list[dict[str, Any]] = [step(out / "report", *_evaluate(config, policy))]
    for index in range(config.rounds):
        place = out / f"round-{index}"
        for name, arguments in _round(config, policy, place):
            result = step(place / name, *arguments)
            if name.endswith(REPORT):
                reports.append(result | {"round": index, "step": name.removesuffix(REPORT)})
        policy = str(place / ("residual" if config.again else "base"))
    runs.write_json(out / "result.json", _result(config, reports))
    names = ["given", *(f"round {report['round']}: {report['step']}" for report in reports[1:])]
    shown = [(name, session.rate(report)) for name, report in zip(names, reports, strict=True)]
    session.show("distil", [*shown, ("policy", policy), ("out", out)])


def _check(config: DictConfig) -> None:
    """Raise `UserError` for keys that a later step would refuse."""

    def known(given: Mapping[str, Any]) -> dict[str, Any]:
        return runs.remembered_by_bundle({**given, "run": config.run})

    for _, (command, *arguments) in _round(config, str(config.run), Path("round-0")):
        compose(command, arguments, known)


def _round(config: DictConfig, policy: str, place: Path) -> Iterator[tuple[str, list[str]]]:
    """Names and arguments of a round's commands."""
    seed, base = f"seed={config.seed}", str(place / "base")
    yield "dataset", ["record", "source=policy", f"run={policy}", f"episodes={config.episodes}", f"n={config.n}", seed]
    cloned = ["train", "learner=bc", *_network(config), f"dataset={place / 'dataset'}", seed]
    yield "base", [*cloned, *_given(config.base)]
    yield f"base{REPORT}", _evaluate(config, base)
    if config.again:
        yield "residual", ["train", "learner=residual", f"base={base}", seed, *_given(config.residual)]
        yield f"residual{REPORT}", _evaluate(config, str(place / "residual"))


def _evaluate(config: DictConfig, policy: str) -> list[str]:
    return ["evaluate", f"run={policy}", f"episodes={config.report_episodes}", "record=false"]


def _network(config: DictConfig) -> list[str]:
    """`policy=`, and those of its keys that are not as usual."""
    chosen = f"policy={config.policy.kind}"
    usual = compose("train", [chosen]).policy
    return [
        chosen,
        *(f"policy.{key}={quote(value)}" for key, value in config.policy.items() if value != usual.get(key)),
    ]


def _given(keys: DictConfig) -> list[str]:
    """Further keys of a command, as the user gave them."""
    plain = OmegaConf.to_container(keys)
    assert isinstance(plain, dict)
    return [f"{key}={quote(value)}" for key, value in plain.items()]


def _folder(config: DictConfig) -> Path:
    """`out`, taken up again where it holds this distillation unfinished."""
    out = Path(str(config.out)).expanduser() if config.out is not None else None
    if out is None or not (out / "config.yaml").exists():
        return runs.new_folder(config, "distil")
    if (out / "result.json").exists():
        raise UserError(f"out={out}: holds an earlier run; choose another folder or remove it")
    runs.require_begun_with(out, config, "distil")
    return out


def _result(config: DictConfig, reports: list[dict[str, Any]]) -> dict[str, Any]:
    first, last = reports[0], reports[-1]
    keys = ("success_rate", "ci_low", "ci_high", "episode_length_mean", "run")
    return {
        "run": str(config.run),
        "steps": [{key: report[key] for key in keys} for report in reports],
        "success_rate": last["success_rate"],
        "paired_difference": paired_by_seed(first["rows"], last["rows"]).to_json(),
        "episodes": config.report_episodes,
    }

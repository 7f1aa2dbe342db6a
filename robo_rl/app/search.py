"""`robo-rl train -m key=a,b key=interval(x,y) ...`: many runs of one command, each with other values.

Values are written as Hydra's multirun takes them: `a,b`, `choice(a,b)`, `range(1,5)`, `interval(0,1)`,
`tag(log, interval(1e-5,1e-3))`. Without `trials=` every combination is run once (there must be no interval); with it
Optuna's TPE sampler proposes that many, one after the other. `seeds=` training runs a trial, on seeds that are kept for
searching: `train seed=` never uses them unless it is told to, and what is reported later is drawn from other ranges
again (robo_rl/seeds.py).

The study lies in `out` (Optuna's SQLite storage); the same command with the same `out` goes on after a kill, and a run
that was cut off goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException

from robo_rl.app import runs, session
from robo_rl.app.compose import compose, quote
from robo_rl.app.steps import step
from robo_rl.app.train import implied, require_given
from robo_rl.errors import UserError

FIRST_SEED, SEEDS = 900, 100  # of training runs, kept for searching


@dataclass(frozen=True)
class Search:
    """What is varied (`space`: Optuna distributions by key) and what is not (`fixed`: arguments of `train`)."""

    space: dict[str, Any]
    fixed: tuple[str, ...]
    out: Path
    seeds: int
    trials: int | None  # None: every combination


def main(arguments: Sequence[str]) -> int:
    """Run what is missing of the search; result.json holds all trials and the best. Exit code 0."""
    optuna = _optuna()
    search = parse(arguments)
    study = _study(optuna, search)
    _again(optuna, study)
    wanted = _combinations(search.space) if search.trials is None else search.trials
    left = wanted - len(_finished(optuna, study))
    if left > 0:
        report = [lambda study, _: _report(optuna, study, search)]
        study.optimize(lambda trial: run_trial(search, _values(search.space, trial)), left, callbacks=report)
    best = study.best_trial
    session.show("search", [("success", session.percent(best.value)), *best.params.items(), ("out", search.out)])
    return 0


def parse(arguments: Sequence[str]) -> Search:
    """Arguments of `train -m`; every value of every key is checked before anything is run."""
    given = dict(_pair(text) for text in arguments)
    if len(given) != len(arguments):
        raise UserError("train -m: a key is given twice")
    if "seed" in given:
        raise UserError(f"seed={given['seed']}: a search trains on seeds of its own; say how many with seeds=")
    out, seeds, trials = (given.pop(key, None) for key in ("out", "seeds", "trials"))
    space, fixed = {}, []
    for key, value in given.items():
        found = _distribution(key, value)
        if found is None:
            fixed.append(f"{key}={value}")
        else:
            space[key] = found
    if not space:
        raise UserError("train -m: no key has several values; write learner.scale=0.1,0.2 or interval(0.05,0.3)")
    place = Path(out).expanduser() if out else Path(time.strftime("runs/search-%Y%m%d-%H%M%S"))
    search = Search(space, tuple(fixed), place, _count("seeds", seeds, SEEDS) or 1, _count("trials", trials, 10**6))
    if search.trials is None:
        _combinations(space)
    first = {key: _ends(found)[0] for key, found in space.items()}
    ends = [first | {key: value} for key, found in space.items() for value in _ends(found)]
    for config in [compose("train", _arguments(search, values, 0), implied) for values in ends]:
        require_given(config)
    return search


def run_trial(search: Search, params: dict[str, Any]) -> float:
    """Mean success of the trial's training runs, each on the seeds that confirm its choice."""
    rates = []
    for index in range(search.seeds):
        arguments = _arguments(search, params, index)
        folder = Path(arguments.pop().partition("=")[2])
        rates.append(float(step(folder, "train", *arguments)["success_rate"]))
    return sum(rates) / len(rates)


def _values(space: dict[str, Any], trial: Any) -> dict[str, Any]:
    """What the sampler proposes for a trial."""
    return {
        key: trial.suggest_categorical(key, found.choices)
        if hasattr(found, "choices")
        else trial.suggest_float(key, found.low, found.high, log=found.log)
        for key, found in space.items()
    }


def _arguments(search: Search, params: dict[str, Any], index: int) -> list[str]:
    """Of the trial's run on its seed `index`; the folder is named after the values, so that a cut-off run is found."""
    name = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:10]
    varied = [f"{key}={_text(value)}" for key, value in params.items()]
    return [*search.fixed, *varied, f"seed={FIRST_SEED + index}", f"out={search.out / f'{name}-{FIRST_SEED + index}'}"]


# -- values ------------------------------------------------------------------------------------------------------


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"{text}: expected key=value")
    return key, value


def _distribution(key: str, value: str) -> Any:
    """Optuna's distribution of a swept value; None where the value is one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    try:
        override = OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException:
        return None  # a path, say: `train` reads it as it is
    if not override.is_sweep_override():
        return None
    swept = override.value()
    if isinstance(swept, IntervalSweep):
        if swept.start is None or swept.end is None:
            raise UserError(f"{key}={value}: an interval needs both ends")
        return FloatDistribution(float(swept.start), float(swept.end), log="log" in swept.tags)
    if isinstance(swept, ChoiceSweep | RangeSweep):
        return CategoricalDistribution([_plain(item) for item in _elements(override)])
    raise UserError(f"{key}={value}: expected a,b or choice(a,b), range(a,b) or interval(a,b)")


def _elements(override: Override) -> list[Any]:
    return list(override.sweep_iterator(transformer=lambda item: item))


def _plain(value: Any) -> Any:
    """What Optuna can store; lists and mappings as their text."""
    if isinstance(value, QuotedString):
        return value.text
    return value if isinstance(value, str | int | float | bool) or value is None else quote(value)


def _text(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _ends(distribution: Any) -> tuple[Any, ...]:
    """Every choice, or the ends of an interval."""
    return distribution.choices if hasattr(distribution, "choices") else (distribution.low, distribution.high)


def _combinations(space: dict[str, Any]) -> int:
    count = 1
    for key, found in space.items():
        if not hasattr(found, "choices"):
            raise UserError(f"{key}=interval(...): say how many values are tried with trials=")
        count *= len(found.choices)
    return count


def _count(key: str, value: str | None, most: int) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or not 1 <= int(value) <= most:
        raise UserError(f"{key}={value}: expected a whole number from 1 to {most}")
    return int(value)


# -- the study ---------------------------------------------------------------------------------------------------


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UserError("train -m: needs Optuna: pip install 'robo-rl[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a trial that fails says why itself
    return optuna


def _study(optuna: Any, search: Search) -> Any:
    """The study in `out`, begun or taken up again. Raises where another search lies there."""
    described = json.dumps({
        "space": {key: optuna.distributions.distribution_to_json(found) for key, found in search.space.items()},
        "fixed": search.fixed, "seeds": search.seeds,
    }, sort_keys=True)  # fmt: skip
    try:
        search.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out={search.out}: cannot be written: {error.strerror}") from error
    storage = f"sqlite:///{(search.out / 'study.db').absolute()}"
    how: dict[str, Any] = {"study_name": "train", "direction": "maximize", "load_if_exists": True}
    study = optuna.create_study(storage=storage, **how)
    if study.user_attrs.setdefault("search", described) != described:
        raise UserError(f"out={search.out}: holds another search; give the same arguments, or another out=")
    study.set_user_attr("search", described)
    if search.trials is None:
        grid = {key: list(found.choices) for key, found in search.space.items()}
        study.sampler = optuna.samplers.GridSampler(grid, seed=0)
    else:
        study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))  # taken up again, it draws what is new
    return study


def _again(optuna: Any, study: Any) -> None:
    """Trials that a kill cut off are asked for first."""
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    for trial in running:
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _finished(optuna: Any, study: Any) -> list[Any]:
    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def _report(optuna: Any, study: Any, search: Search) -> None:
    trials = [{"params": trial.params, "success_rate": trial.value} for trial in _finished(optuna, study)]
    best = max(trials, key=lambda trial: trial["success_rate"], default=None)
    result = {"best": best, "trials": trials, "seeds": search.seeds, "arguments": list(search.fixed)}
    runs.write_json(search.out / "result.json", result)

"""What every command that runs the loop shares: recorder, outcomes, progress bar, video."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from robo_rl.app import runs
from robo_rl.app.build import make_camera, scenario
from robo_rl.app.pacing import deadline_of
from robo_rl.app.stop_key import watch_stop_key
from robo_rl.app.video import Film
from robo_rl.clock import Deadline
from robo_rl.env import Env, RigEnv
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import Outcomes
from robo_rl.log.images import FORMATS
from robo_rl.log.recorder import Recorder
from robo_rl.loop import Observer, run
from robo_rl.policy import Policy
from robo_rl.seeds import Seeds
from robo_rl.types import Action, Step


def rollout(
    config: DictConfig,
    env: Env,
    policy: Policy,
    seeds: Seeds,
    out: Path | None,
    name: str,
    until: Callable[[Step], bool] = lambda step: step.exhausted,
    observers: Sequence[Observer] = (),
    **meta: Any,
) -> Outcomes:
    """Run the episodes of `seeds`; log them under `out` where it is given. A stopped run leaves whole files."""
    outcomes = Outcomes(env.n)
    film = Film(env) if config.get("video") else None
    with (
        interruption() as interrupted,
        progress(name, seeds.count) as count,
        recorder(config, env, policy, out, name, **meta) as record,
    ):
        films = () if film is None else (film,)
        watch_stop_key(env, note)
        watching = (*record, outcomes, count, *films, *observers)
        run(env, policy, lambda step: until(step) or interrupted(), seeds, watching)
        rest(env)
    if interrupted():
        raise KeyboardInterrupt
    if film is not None:
        assert out is not None
        _develop(film, config, env, out / "video.mp4")
    outcomes.lost = next((one.losses for one in record), {})
    if pictures := sum(outcomes.lost.get("pictures", {}).values()):
        note(f"{pictures} pictures not recorded: they came faster than they could be written; try images=jpeg")
    return outcomes


def rest(env: Env) -> None:
    """Let a rig hold while what follows the loop takes its time."""
    if isinstance(env, RigEnv):
        env.rig.rest()


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed. The loop asks once a tick, so that it ends between two ticks: an exception may be
    raised anywhere, and get lost in an extension module. A second Ctrl-C raises at once."""
    pressed = threading.Event()

    def press(number: int, frame: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def recorder(
    config: DictConfig, env: Env, policy: Policy, out: Path | None, name: str, **meta: Any
) -> Iterator[tuple[Recorder, ...]]:
    """An observer that logs to `out`/log; none where `out` is None. What is paced in real time does not wait for it."""
    if out is None:
        yield ()
        return
    rig = getattr(env, "rig", None)
    about = {"name": name, "config": OmegaConf.to_container(config), **scenario(config), **runs.weights(meta), **meta}
    messages = None if rig is None else lambda: rig.messages
    deadline = deadline_of(env)
    options: dict[str, Any] = {} if deadline is None else {"realtime": env.n, "timing": lambda: wake_up(deadline)}
    options["images"] = config.get("images", FORMATS[0])
    specs = (env.obs_spec, env.act_spec, policy.extra_spec)
    with Recorder(out / "log", *specs, about, env.dt, messages=messages, report=note, **options) as record:
        yield (record,)


def wake_up(deadline: Deadline) -> dict[str, float]:
    """How late the tick began [s], and how many deadlines were missed so far."""
    return {"late": float(deadline.late[-1]) if len(deadline.late) else 0.0, "misses": float(deadline.misses)}


@contextmanager
def progress(name: str, episodes: int | None) -> Iterator[Observer]:
    """An observer that shows finished episodes on standard error."""
    with counting(name, episodes) as done:

        def observe(step: Step, action: Action) -> None:
            if (ended := int(step.last.sum())) > 0:
                done(ended)

        yield observe


@contextmanager
def counting(name: str, episodes: int | None) -> Iterator[Callable[[int], None]]:
    """Shows on standard error how many episodes are done; it is told how many more."""
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TextColumn("episodes"), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=episodes)
        yield lambda more: bar.advance(task, more)


def show(title: str, rows: Sequence[tuple[str, Any]]) -> None:
    """A one-screen table of names and values."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows:
        table.add_row(name, _text(value))
    Console().print(table)


def note(text: str) -> None:
    """One line on standard error."""
    print(f"robo-rl: {text}", file=sys.stderr)


def note_left_out(logs: Sequence[Mapping[str, str]]) -> None:
    """One line for each log that cannot be read."""
    for log in logs:
        note(f"left out: {log['why']}")


def rate(result: dict[str, Any]) -> str:
    """Success rate with its interval, in words."""
    if result["success_rate"] is None:
        return "unknown (no episode is labelled)"
    return f"{result['success_rate']:.1%} (95 % interval {result['ci_low']:.1%} to {result['ci_high']:.1%})"


def percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def camera(config: DictConfig, env: Env) -> Any:
    """The task's camera; a `UserError` of one line where this machine cannot render."""
    try:
        return make_camera(config.task, config.robot, env)
    except UserError:
        raise
    except Exception as error:  # whatever an OpenGL driver raises
        raise UserError(f"no rendering here ({_first(error)}); install libegl1 and libgl1, or a GPU driver") from error


def _develop(film: Film, config: DictConfig, env: Env, path: Path) -> None:
    """Render the film; a machine that cannot is told what to install, and the run goes on."""
    try:
        film.write(make_camera(config.task, config.robot, env), path)
        note(f"video: {path}")
    except UserError as error:
        note(str(error))
    except Exception as error:  # whatever an OpenGL driver raises
        note(f"video=true: no rendering here ({_first(error)}); install libegl1 and libgl1, or a GPU driver; no video")


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

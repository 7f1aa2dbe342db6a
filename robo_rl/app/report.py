"""`robo-rl report`: runs and logs on one HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.browsed import browsed
from robo_rl.errors import UserError
from robo_rl.evaluate import curves, page
from robo_rl.evaluate.aligned import ALIGN
from robo_rl.evaluate.compare import compare
from robo_rl.evaluate.gather import Source, differences, gather
from robo_rl.evaluate.machine import describe_machine
from robo_rl.evaluate.plots import Plot, png

MOST_PAIRS = 15
WRITTEN = ("report.html", "plots")
CADENCE = ("rate_hz", "wake_p50_us", "wake_p99_us", "wake_max_us", "deadline_misses")


def main(config: DictConfig) -> None:
    """Write `out`/report.html, `out`/plots/*.png and `out`/result.json."""
    if config.inputs is None or not runs.values(config.inputs):
        raise UserError("inputs=: report needs run folders or logs, a list or a glob")
    runs.pick(config, "align", ALIGN)  # a wrong one is refused before anything is read
    sources = gather(runs.values(config.inputs))
    left_out = [log for source in sources for log in source.left_out]
    session.note_left_out(left_out)
    sources = [source for source in sources if source.readable or not source.left_out]
    with runs.fresh_folder(config, "report", WRITTEN) as out:
        _write(config, sources, left_out, out)


def _write(config: DictConfig, sources: list[Source], left_out: list[dict[str, str]], out: Path) -> None:
    charts = {"Learning": curves.learning_curves(sources), "Success rates": curves.success_rates(sources)}
    charts["Replay"] = [plot for source in sources for plot in curves.error_plots(_errors(source))]
    pairs, alone = browsed(sources, config.episodes, config.align)
    shown = [*pairs, *alone]
    lost = page.table(("log", "why"), [list(log.values()) for log in left_out])
    sections = {**_sections(sources, charts), "Left out": lost, "Episodes": page.browser(shown)}
    html = page.page(str(config.title), sections)
    runs.write_text(out / "report.html", html)
    every = [plot for part in charts.values() for plot in part]
    every += [plot for episode in shown for plot in episode.plots]
    pictures = _pictures(every, out / "plots") if config.png else 0
    result: dict[str, Any] = {"inputs": [str(source.folder) for source in sources], "left_out": left_out}
    result |= {"plots": len(every), "pictures": pictures}
    result |= {"episodes": len(alone), "pairs": len(pairs), "bytes": len(html.encode()), "machine": describe_machine()}
    runs.write_json(out / "result.json", result)
    session.show("report", [("runs", len(sources)), ("plots", len(every)), ("page", out / "report.html")])


def _sections(sources: list[Source], charts: dict[str, list[Plot]]) -> dict[str, str]:
    drawn = {name: page.plots(found) for name, found in charts.items()}
    return {
        "Success": page.table(*_success(sources)) + drawn.pop("Success rates"),
        **drawn,
        "Differences": page.table(*_pairs(sources)),
        "Cadence": page.table(*_cadence(sources)),
        "Tracking": page.table(*_tracking(sources)),
        "Guard events": page.table(*_guard(sources)),
        "Configuration differences": page.table(*_configuration(sources)),
    }


Table = tuple[Sequence[str], list[list[Any]]]


def _success(sources: list[Source]) -> Table:
    columns = (
        "run",
        "task",
        "robot",
        "episodes",
        "success",
        "95 % interval",
        "time to success [s]",
        "length",
        "machine",
    )
    rows = []
    for source in sources:
        about = source.about
        if "episodes" in about and "success_rate" in about:
            interval = f"{about['ci_low']:.1%} to {about['ci_high']:.1%}" if "ci_low" in about else ""
            keys = ("time_to_success_s", "episode_length_mean", "machine")
            where = [about.get("task"), about.get("robot"), about["episodes"]]
            rate = session.percent(about["success_rate"])
            rows.append([source.name, *where, rate, interval, *(about.get(key) for key in keys)])
    return columns, rows


def _pairs(sources: list[Source]) -> Table:
    """Later runs against earlier ones of the same task."""
    columns = ("run", "against", "episodes", "how", "difference", "95 % interval", "Cohen's h")
    rows = []
    for one, two in combinations([source for source in sources if source.rows], 2):
        found = compare(one.rows, two.rows) if one.about.get("task") == two.about.get("task") else None
        if found is not None and len(rows) < MOST_PAIRS:
            how, by = "paired by seed" if found["paired"] else "unpaired", found["difference"]
            interval = f"{by['ci_low']:+.1%} to {by['ci_high']:+.1%}"
            effect = f"{found['effect_size_cohens_h']:+.2f}"
            episodes = " / ".join(map(str, found["episodes"]))
            rows.append([two.name, one.name, episodes, how, f"{by['mean']:+.1%}", interval, effect])
    return columns, rows


def _cadence(sources: list[Source]) -> Table:
    rows = []
    for source in sources:
        measured = source.measured.get("cadence", {})
        about = {**measured, **{key: source.result[key] for key in CADENCE if key in source.result}}
        if about.get("wake_p50_us") is not None:
            rows.append([source.name, about.get("ticks"), *(about.get(key) for key in CADENCE)])
    columns = ("run", "ticks", "rate [Hz]", "wake-up p50 [us]", "p99 [us]", "largest [us]", "missed deadlines")
    return columns, rows


def _tracking(sources: list[Source]) -> Table:
    rows = [
        [source.name, joint, error["rms"], error["max"]]
        for source in sources
        for joint, error in source.measured.get("tracking", {}).items()
    ]
    return ("run", "joint", "rms error", "largest error"), rows


def _guard(sources: list[Source]) -> Table:
    rows = [
        [source.name, count, text]
        for source in sources
        for text, count in source.measured.get("guard_events", {}).get("texts", {}).items()
    ]
    return ("run", "times", "what"), rows


def _configuration(sources: list[Source]) -> Table:
    found = differences(sources)
    names = [source.name for source in sources if source.config]
    return ("key", *names), [[key, *values] for key, values in found.items()]


def _errors(source: Source) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return dict(json.loads((source.folder / "errors.json").read_text()))
    return {}


def _pictures(plots: Sequence[Plot], folder: Path) -> int:
    folder.mkdir()
    for index, plot in enumerate(plots):
        name = "".join(letter if letter.isalnum() else "-" for letter in plot.title.lower())
        png(plot, folder / f"{index:03d}-{name}.png")
    return len(plots)

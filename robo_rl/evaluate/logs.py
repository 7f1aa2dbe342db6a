"""Finished logs in, one result out: what `robo-rl evaluate log=...` and the report say about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robo_rl.errors import CorruptFile, UserError
from robo_rl.evaluate.outcomes import summarise
from robo_rl.evaluate.quality import Ages, Tracking, cadence, row
from robo_rl.log.reader import LogStream

LISTED = 20  # guard events that are listed; all are counted


def measure_log(path: Path) -> dict[str, Any]:
    """One file, episode by episode: `rows`, and what holds for the whole file. Raises `CorruptFile`."""
    with LogStream(path) as log:
        dt = float(log.meta["dt"])
        tracking, ages = Tracking(log.specs), Ages()
        rows, broken_off, duration = [], 0, 0.0
        for episode in log:
            duration += float(episode.time[-1] - episode.time[0])
            if not episode.complete:
                broken_off += 1
                continue
            rows.append({**row(episode, dt), "row": episode.row})
            tracking.add(episode)
            ages.add(episode, None if log.clock_offset is None else episode.time - log.clock_offset)
        events = [text for text in log.texts if text.topic == "safety" and text.text != "cleared"]
        return {
            "log": str(path),
            "meta": log.meta,
            "truncated": log.truncated,
            "rows": rows,
            "broken_off": broken_off,
            "duration_s": duration,
            "tracking": tracking.to_json(),
            "observation_age": ages.to_json(),
            "guard_events": [{"time": text.time, "level": text.level, "text": text.text} for text in events],
            "cadence": cadence(log.timing, dt),
        }


def measure_logs(paths: Sequence[Path], key: str = "log", seed: int = 0) -> dict[str, Any]:
    """The result of several logs of one task: `summarise`'s keys, and what the logs tell besides; `left_out` holds
    those that cannot be read, and why.

    Raises:
        UserError: logs of several tasks.
        CorruptFile: none can be read.
    """
    logs, left_out = measure_each(paths)
    if not logs and left_out:
        raise CorruptFile(left_out[0]["why"])
    return summarise_logs(logs, left_out, key, seed)


def measure_each(paths: Sequence[Path]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The logs that can be read, and `log` and `why` of those that cannot."""
    logs, left_out = [], []
    for path in paths:
        try:
            logs.append(measure_log(path))
        except CorruptFile as error:
            left_out.append({"log": str(path), "why": str(error)})
    return logs, left_out


def summarise_logs(
    logs: Sequence[dict[str, Any]], left_out: Sequence[dict[str, str]], key: str, seed: int = 0
) -> dict[str, Any]:
    """The result of measured logs, see `measure_logs`."""
    tasks = _distinct(logs, "task")
    if len(tasks) > 1:
        raise UserError(
            f"{key}={logs[0]['log']}: holds logs of several tasks ({', '.join(tasks)}); evaluate them one by one"
        )
    rows = [row for log in logs for row in log["rows"]]
    runs = sorted({str(log["meta"].get("run", log["meta"].get("source", "unknown"))) for log in logs})
    duration = sum(log["duration_s"] for log in logs)
    events = [event for log in logs for event in log["guard_events"]]
    more = {
        "robot": ", ".join(_distinct(logs, "robot")),
        "use": ", ".join(_distinct(logs, "use", "")),
        "logs": [log["log"] for log in logs],
        "truncated": [log["log"] for log in logs if log["truncated"]],
        "left_out": list(left_out),
        "broken_off": sum(log["broken_off"] for log in logs),
        **_means(rows),
        "tracking": _joined(logs, "tracking", {"rms": _rms, "max": max}),
        "observation_age": _joined(logs, "observation_age", {"p50_ms": max, "p99_ms": max, "max_ms": max}),
        "guard_events": {
            "count": len(events),
            "texts": dict(Counter(e["text"] for e in events)),
            "first": events[:LISTED],
        },
        "cadence": _cadence([log["cadence"] for log in logs]),
    }
    return summarise(rows, tasks[0] if tasks else "unknown", ", ".join(runs), seed, 0, duration, **more)


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Means over the episodes that have a value; median of the time to success."""
    return {
        "time_to_success_s": _over(rows, "time_to_success_s", np.median),
        "smoothness": _over(rows, "smoothness", np.mean),
        "guarded_share": _over(rows, "guarded_share", np.mean),
        "intervention_share": _over(rows, "intervention_share", np.mean),
        "interventions_per_minute": _over(rows, "interventions_per_minute", np.mean),
        "energy_j": _over(rows, "energy_j", np.mean),
    }


def _over(rows: Sequence[dict[str, Any]], key: str, reduce: Any) -> float | None:
    values = [row[key] for row in rows if row[key] is not None]
    return float(reduce(values)) if values else None


def _distinct(logs: Sequence[dict[str, Any]], key: str, default: str = "unknown") -> list[str]:
    return sorted({str(log["meta"].get(key, default)) for log in logs})


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _joined(logs: Sequence[dict[str, Any]], part: str, reduce: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Per name, each quantity over the logs that have it: the worst file's percentiles, the mean of squared errors."""
    names = dict.fromkeys(name for log in logs for name in log[part])
    have = {name: [log[part][name] for log in logs if name in log[part]] for name in names}
    return {
        name: {key: float(f([v[key] for v in values])) for key, f in reduce.items()} for name, values in have.items()
    }


def _cadence(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ticks and misses of all files, the lowest rate, the worst percentiles."""
    paced = [one for one in found if one["realtime"]]
    rates = [one["rate_hz"] for one in (paced or found) if one["rate_hz"] is not None]
    result: dict[str, Any] = {"ticks": sum(one["ticks"] for one in found), "rate_hz": min(rates, default=None)}
    result["realtime"] = len(paced) == len(found) > 0
    for key in ("wake_p50_us", "wake_p99_us", "wake_max_us"):
        result[key] = max((one[key] for one in paced), default=None)
    return {**result, "deadline_misses": sum(one["deadline_misses"] for one in paced)}

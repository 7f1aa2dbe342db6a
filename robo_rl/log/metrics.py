"""Where a run's numbers go: a file of JSON lines, TensorBoard, the terminal."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from robo_rl.clock import Every

Values = Mapping[str, float | str]


class Sink(ABC):
    """Takes a run's numbers by step."""

    @abstractmethod
    def write(self, step: int, values: Values) -> None:
        """Numbers and texts at an environment step."""

    @abstractmethod
    def close(self) -> None:
        """Finish. May be called twice."""


class Metrics(Sink):
    """Several sinks as one."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def write(self, step: int, values: Values) -> None:
        for sink in self._sinks:
            sink.write(step, values)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class JsonLines(Sink):
    """Appends `{"step": ..., "wall": [s], ...}` lines, each on disk when `write` returns; non-finite numbers are texts.

    Opening drops what an interrupted run left: a partial last line and, where `resume` is given, records beyond that
    step.
    """

    def __init__(self, path: str | Path, resume: int | None = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _keep(path, math.inf if resume is None else resume)
        self._file = path.open("a")

    def write(self, step: int, values: Values) -> None:
        numbers = {name: _plain(value) for name, value in values.items()}
        self._file.write(json.dumps({"step": int(step), "wall": time.time(), **numbers}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The whole records of a metrics file, in order."""
    records = []
    for line in Path(path).read_bytes().splitlines(keepends=True):
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records


def _keep(path: Path, step: float) -> None:
    """Rewrite the file, atomically, with its whole records up to `step`."""
    lines = [json.dumps(record) + "\n" for record in read_metrics(path) if record["step"] <= step]
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _plain(value: float | str) -> float | int | str:
    if isinstance(value, str):
        return value
    number = float(value)
    return number if math.isfinite(number) else str(number)


class TensorBoard(Sink):
    """Scalars as TensorBoard events; texts are left out. With `resume`, viewers drop what lies beyond that step."""

    def __init__(self, folder: str | Path, resume: int | None = None) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2  # takes a while to import
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = event_pb2, summary_pb2.Summary
        self._writer = EventFileWriter(str(folder), flush_secs=10)
        if resume is not None:
            session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._writer.add_event(event_pb2.Event(wall_time=time.time(), step=resume + 1, session_log=session))

    def write(self, step: int, values: Values) -> None:
        numbers = [(name, float(value)) for name, value in values.items() if not isinstance(value, str)]
        scalars = [self._summary.Value(tag=name, simple_value=value) for name, value in numbers]
        summary = self._summary(value=scalars)
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=int(step), summary=summary))

    def close(self) -> None:
        self._writer.close()


class Terminal(Sink):
    """Progress with the latest of some values; where the stream is no terminal, a plain line every `interval` seconds.

    Args:
        total: environment steps of the run, None where unknown.
        keys: the values to show, in order.
        stream: default standard error, so that standard output stays a command's result.
        interval: between plain lines [s].
    """

    KEYS = ("success_rate", "steps_per_s", "updates_per_s", "gate")

    def __init__(
        self,
        total: int | None = None,
        keys: Sequence[str] = KEYS,
        stream: IO[str] | None = None,
        interval: float = 10.0,
    ) -> None:
        self._stream = stream or sys.stderr
        self._total, self._keys, self._latest = total, keys, {}
        self._step, self._due, self._shown = 0, Every(interval, first=True), -1
        self._progress: Progress | None = None
        if self._stream.isatty():
            columns = (TextColumn("step"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, TextColumn("{task.fields[text]}"), console=Console(file=self._stream))
            self._task = self._progress.add_task("run", total=total, text="")
            self._progress.start()

    def write(self, step: int, values: Values) -> None:
        self._step = int(step)
        self._latest |= {key: values[key] for key in self._keys if key in values}
        if self._progress is not None:
            self._progress.update(self._task, completed=self._step, text=self._text())
        elif self._due(time.monotonic()):
            self._print()

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        elif self._step != self._shown and self._shown >= 0:
            self._print()

    def _print(self) -> None:
        self._shown = self._step
        of = "" if self._total is None else f"/{self._total}"
        print(f"step {self._step}{of} {self._text()}".rstrip(), file=self._stream, flush=True)

    def _text(self) -> str:
        shown = {key: self._latest[key] for key in self._keys if key in self._latest}
        return " ".join(f"{key}={value if isinstance(value, str) else f'{value:.3g}'}" for key, value in shown.items())

"""Metric sinks."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robo_rl.log.metrics import JsonLines, Metrics, TensorBoard, Terminal, read_metrics


def test_json_lines_are_on_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    with Metrics(JsonLines(path)) as metrics:
        metrics.write(10, {"loss": 0.5, "gate": "closed", "q": math.nan})
        (record,) = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    assert {key: record[key] for key in ("step", "loss", "gate", "q")} == {
        "step": 10,
        "loss": 0.5,
        "gate": "closed",
        "q": "nan",
    }


@pytest.mark.parametrize("tail", ['{"step": 40, "lo', "[1]\n", "nonsense\n", '{"step": 40, "loss": 1}'])
def test_resuming_drops_what_was_cut_and_what_lies_beyond(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (10, 20, 30)) + tail)
    JsonLines(path).close()
    assert [record["step"] for record in read_metrics(path)] == [10, 20, 30]
    sink = JsonLines(path, resume=20)
    sink.write(25, {})
    sink.close()
    assert [record["step"] for record in read_metrics(path)] == [10, 20, 25]
    assert len(path.read_text().splitlines()) == 3


def test_tensorboard(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path)
    for step in (1, 2, 3):
        sink.write(step, {"loss": step / 2, "gate": "open"})
    sink.close()
    sink = TensorBoard(tmp_path, resume=2)
    sink.write(3, {"loss": 9.0})
    sink.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 1.0), (3, 9.0)]


def test_terminal_without_a_terminal_prints_plain_lines() -> None:
    stream = io.StringIO()
    sink = Terminal(total=100, stream=stream, interval=1000.0)
    sink.write(10, {"success_rate": 0.25, "gate": "closed", "other": 1.0})
    sink.write(20, {"success_rate": 0.5})
    sink.close()
    assert stream.getvalue().splitlines() == [
        "step 10/100 success_rate=0.25 gate=closed",
        "step 20/100 success_rate=0.5 gate=closed",
    ]


def test_terminal_draws_a_bar() -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Tty()
    sink = Terminal(total=100, stream=stream)
    sink.write(50, {"steps_per_s": 123.0})
    sink.close()
    sink.close()
    assert "50/100" in stream.getvalue() and "steps_per_s=123" in stream.getvalue()

"""Plots and pages: what they draw, and that nothing leaves them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from robo_rl.errors import UserError
from robo_rl.evaluate import curves, page
from robo_rl.evaluate.gather import Source, differences, flat, gather
from robo_rl.evaluate.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, Plot, png, svg, thin, ticks


class Tags(HTMLParser):
    """Collects tags; every one that is opened must be closed."""

    VOID = {"meta", "link", "line", "polyline", "polygon", "circle", "i"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


LINES = [Line("one <b>", [0, 1, 2], [0.0, 5.0, float("nan")], [0, 4, 1], [1, 6, 2], True), Line("two", [0, 2], [3, 3])]


def test_a_plot_stays_in_its_frame() -> None:
    seen = Tags(svg(Plot("a & b", "x", "y", LINES))).seen
    points = [p for tag, attrs in seen if tag in ("polyline", "polygon") for p in (attrs["points"] or "").split()]
    for point in points:
        x, y = map(float, point.split(","))
        assert LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1 and TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1
    assert [tag for tag, _ in seen].count("polyline") == 2 and [tag for tag, _ in seen].count("circle") == 2
    assert "one &lt;b&gt;" in svg(Plot("a & b", "x", "y", LINES))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.3, 7.1), (0, 150_000), (1e-9, 2e-9), (-1e7, 1e7)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    steps = np.diff(found)
    assert 2 <= len(found) <= 8 and low - 1e-9 * abs(low) <= found[0] and found[-1] <= high * (1 + 1e-9)
    mantissa = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
    assert np.isclose(mantissa, [1, 2, 5], rtol=1e-6).any() and np.allclose(steps, steps[0])


def test_plots_without_numbers_are_drawn(tmp_path: Path) -> None:
    for lines in ([], [Line("none", [], [])], [Line("nan", [1.0], [float("nan")])], [Line("flat", [1, 2], [3, 3])]):
        Tags(svg(Plot("empty", "x", "y", lines)))
        png(Plot("empty", "x", "y", lines), tmp_path / "empty.png")


def test_pictures(tmp_path: Path) -> None:
    png(Plot("a", "x", "y", LINES), tmp_path / "a.png")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture is not None and picture.shape[1] > 500 and picture.std() > 5


def test_long_curves_keep_their_ends() -> None:
    short = thin(Line("long", list(range(10_000)), list(range(10_000))))
    assert len(short.x) <= 500 and (short.x[0], short.x[-1]) == (0, 9999) and short.x == short.y


def test_a_page_holds_everything_itself() -> None:
    view = page.View("data:video/webm;base64,AAAA", 1.0)
    shown = page.Shown("seed <3>", [Plot("obs/x", "time [s]", "x", LINES)], 2.0, [view])
    html = page.page("A <title>", {"Success": page.table(["a"], [[1.23456], ["<i>"], [None]]), "Empty": "",
                                   "Episodes": page.browser([shown, shown])})  # fmt: skip
    seen = Tags(html).seen
    for _, attrs in seen:
        for name in ("src", "href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:")), attrs
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", html)
    assert [tag for tag, _ in seen].count("video") == 1 and [tag for tag, _ in seen].count("option") == 2
    assert "default-src 'none'" in html and "prefers-color-scheme: dark" in html and "width=device-width" in html
    assert 'id="empty"' not in html and "&lt;i&gt;" in html and "1.235" in html


def test_learning_curves_have_intervals() -> None:
    metrics = [{"step": step, "success_rate": step / 100, "loss": 1.0 / step, "gate": "open"} for step in (10, 50, 100)]
    config = {"learner.episodes": "40"}
    one = Source("one", Path(), metrics=metrics, config=config)
    two = Source("two", Path(), metrics=metrics[:2])
    success, over, loss = curves.learning_curves([one, two])
    assert success.lines[0].low[1] == pytest.approx(0.3520, abs=1e-3)  # Wilson, 20 of 40
    assert (
        success.lines[1].low is None
        and over.lines[0].x[-1] == 50
        and [line.name for line in loss.lines] == ["one", "two"]
    )


def test_gathering_runs(tmp_path: Path) -> None:
    for name in ("a/run", "b/run"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "result.json").write_text(json.dumps({"task": "t"}))
        (tmp_path / name / "config.yaml").write_text(
            f"out: {name}\nlearner:\n  rate: {len(name) + ord(name[0])}\nn: 1\n"
        )
    (tmp_path / "a/run/result.json").write_text("not json")
    found = gather([str(tmp_path), str(tmp_path / "*/run")])
    assert [source.name for source in found] == ["a/run", "b/run"] and [s.result for s in found] == [{}, {"task": "t"}]
    assert differences(found) == {"learner.rate": ["102", "103"]}
    assert flat({"a": {"b": [1, 2]}, "c": None}) == {"a.b": "[1, 2]", "c": "None"}
    for nothing in (tmp_path / "none", tmp_path / "a" / "run" / "config.yaml"):
        with pytest.raises(UserError, match="inputs="):
            gather([str(nothing)])

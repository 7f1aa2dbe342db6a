"""Plots that a page holds as SVG and a paper as PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10
from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 640, 300  # of an SVG's own units
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 14, 42
COLOURS = ("#1b6ca8", "#b5651d", "#2e7d32", "#8e44ad", "#c0392b", "#00838f", "#7f6a00", "#5d6d7e")
MOST_POINTS = 500


@dataclass(frozen=True)
class Line:
    """A named curve, perhaps with an interval around it; `marked` draws its points, too."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    marked: bool = False


@dataclass(frozen=True)
class Plot:
    """Some curves on one pair of axes; `x_range` and `y_range` fix them."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    y_range: tuple[float, float] | None = None
    x_range: tuple[float, float] | None = None

    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(least, largest) of both axes over everything finite, never empty."""
        xs = [value for line in self.lines for value in line.x]
        ys = [v for line in self.lines for part in (line.y, line.low, line.high) if part is not None for v in part]
        return self.x_range or _range(xs), self.y_range or _range(ys)


def _range(values: Sequence[float]) -> tuple[float, float]:
    finite = [float(value) for value in values if isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return low, high


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two bounds."""
    raw = (high - low) / most
    base = 10.0 ** floor(log10(raw))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= raw * (1 - 1e-9))
    first = ceil(low / step - 1e-9)
    return [index * step for index in range(first, floor(high / step + 1e-9) + 1)]


class _Frame:
    """From numbers to places in the picture."""

    def __init__(self, plot: Plot) -> None:
        (self.x0, self.x1), (self.y0, self.y1) = plot.ranges()

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM)

    def places(self, xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
        both = zip(xs, ys, strict=True)
        return [(self.x(x), self.y(y)) for x, y in both if isfinite(x) and isfinite(y)]


def svg(plot: Plot) -> str:
    """The plot as an SVG element; its colours of text and grid are the page's."""
    frame = _Frame(plot)
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(plot.title, True)}">']
    parts += _axes(plot, frame)
    for line, colour in zip(plot.lines, _colours(len(plot.lines)), strict=True):
        parts += _curve(thin(line), frame, colour)
    return "".join([*parts, "</svg>", _legend(plot)])


def _axes(plot: Plot, frame: _Frame) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value in ticks(frame.y0, frame.y1):
        at = f"{frame.y(value):.1f}"
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at}" y2="{at}"/>'
        yield f'<text x="{LEFT - 6}" y="{at}" text-anchor="end" dominant-baseline="middle">{number(value)}</text>'
    for value in ticks(frame.x0, frame.x1):
        at = f"{frame.x(value):.1f}"
        yield f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}"/>'
        yield f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{number(value)}</text>'
    middle = (LEFT + right) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(plot.x_label)}</text>'
    yield f'<text transform="translate(13 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
    yield f"{escape(plot.y_label)}</text>"


def _curve(line: Line, frame: _Frame, colour: str) -> Iterator[str]:
    if line.low is not None and line.high is not None:
        around = frame.places(line.x, line.low) + frame.places(line.x, line.high)[::-1]
        yield f'<polygon points="{_points(around)}" fill="{colour}" opacity="0.15"/>'
    places = frame.places(line.x, line.y)
    yield f'<polyline points="{_points(places)}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
    if line.marked or len(places) == 1:
        for x, y in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _legend(plot: Plot) -> str:
    items = zip(plot.lines, _colours(len(plot.lines)), strict=True)
    named = [f'<span><i style="background:{colour}"></i>{escape(line.name)}</span>' for line, colour in items]
    return f'<p class="legend">{"".join(named)}</p>'


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def thin(line: Line) -> Line:
    """The curve with at most so many points as can be seen."""
    if len(line.x) <= MOST_POINTS:
        return line
    at = np.unique(np.linspace(0, len(line.x) - 1, MOST_POINTS).astype(int))
    parts = [None if part is None else [part[i] for i in at] for part in (line.x, line.y, line.low, line.high)]
    return Line(line.name, parts[0] or [], parts[1] or [], parts[2], parts[3], line.marked)


def number(value: float) -> str:
    """A short text of a number on an axis."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.0e}"
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:.4g}"


def png(plot: Plot, path: Path) -> None:
    """Write the plot as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for line, colour in zip(plot.lines, _colours(len(plot.lines)), strict=True):
        axes.plot(line.x, line.y, "o-" if line.marked else "-", color=colour, ms=4, lw=1.4, label=line.name)
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, lw=0)
    axes.set(xlabel=plot.x_label, ylabel=plot.y_label, title=plot.title)
    if plot.y_range:
        axes.set_ylim(*plot.y_range)
    axes.grid(alpha=0.25)
    if plot.lines:
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)

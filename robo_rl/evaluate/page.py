"""One HTML page that needs nothing but itself: no network, readable on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from robo_rl.evaluate.plots import HEIGHT, LEFT, RIGHT, WIDTH, Plot, svg

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:"
_HERE = Path(__file__).parent


def page(title: str, sections: Mapping[str, str]) -> str:
    """The page: a heading and its HTML for each section that holds something."""
    filled = {name: body for name, body in sections.items() if body}
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in filled)
    bodies = "".join(f'<section id="{_anchor(n)}"><h2>{escape(n)}</h2>{body}</section>' for n, body in filled.items())
    axes = f"const AXES = {{left: {LEFT}, right: {WIDTH - RIGHT}, width: {WIDTH}, height: {HEIGHT}}};"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<style>{(_HERE / 'page.css').read_text()}</style></head><body><h1>{escape(title)}</h1><nav>{links}</nav>"
        f"<main>{bodies}</main><script>{axes}{(_HERE / 'page.js').read_text()}</script></body></html>\n"
    )


def _anchor(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table that scrolls sideways on a small screen; nothing where it has no row."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def text(value: Any) -> str:
    """A cell: short numbers, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plots(found: Sequence[Plot]) -> str:
    """Plots beside or below one another."""
    if not found:
        return ""
    figures = "".join(f"<figure><figcaption>{escape(plot.title)}</figcaption>{svg(plot)}</figure>" for plot in found)
    return f'<div class="plots">{figures}</div>'


@dataclass(frozen=True)
class View:
    """A video, as a data URI, and where in it the plots' axis of time begins [s]."""

    video: str
    start: float = 0.0


@dataclass(frozen=True)
class Shown:
    """An episode of the browser, or two side by side; `seconds` is how long the plots' axis of time is."""

    name: str
    plots: Sequence[Plot]
    seconds: float
    views: Sequence[View] = ()


def browser(episodes: Sequence[Shown]) -> str:
    """Episodes to choose from, one shown at a time, with one cursor in all its plots and in its videos."""
    if not episodes:
        return ""
    videos = list(dict.fromkeys(view.video for episode in episodes for view in episode.views))  # each once
    options = "".join(f'<option value="{i}">{escape(episode.name)}</option>' for i, episode in enumerate(episodes))
    players = "".join(f'<video data-video="{i}" src="{v}" muted playsinline controls hidden></video>'
                      for i, v in enumerate(videos))  # fmt: skip
    shown = "".join(_episode(episode, videos) for episode in episodes)
    return f'<label>Episode <select id="episode">{options}</select></label><div class="videos">{players}</div>{shown}'


def _episode(episode: Shown, videos: list[str]) -> str:
    views = " ".join(f"{videos.index(view.video)}:{view.start:.4f}" for view in episode.views)
    data = f'data-seconds="{episode.seconds:.4f}" data-views="{views}"'
    return f'<div class="episode" {data} hidden>{plots(episode.plots)}</div>'

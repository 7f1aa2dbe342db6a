"""The time line of the page: which episode, which tick, play and pause, how fast."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robo_rl.app.view_scene import Scene

REFRESH = 1 / 30  # [s]
SPEEDS = ("0.1x", "0.25x", "0.5x", "1x", "2x", "4x")


@dataclass
class Take:
    """An episode to look at; one that is running grows."""

    label: str
    poses: list[np.ndarray] = field(default_factory=list)  # of all bodies, (B, 7) a tick
    outcome: str = "running"
    pictures: Mapping[str, Sequence[np.ndarray] | np.ndarray] = field(
        default_factory=dict
    )  # by camera, (H, W, 3) a tick


class Timeline:
    """Plays takes, one after the other.

    Callbacks come from the server's threads, takes from whoever runs episodes; `turn` is called by one thread.

    Args:
        server: viser's.
        scene: shows a tick.
        dt: period of a tick [s].
        again: begin anew after the last take; else wait for more of it.
    """

    def __init__(self, server: Any, scene: Scene, dt: float, again: bool) -> None:
        self.takes: list[Take] = []
        self._scene, self._dt, self._again = scene, dt, again
        self._lock = threading.RLock()
        self._chosen, self._place, self._playing = 0, 0.0, True
        self._shown: tuple[int, int] | None = None
        self._episode = server.gui.add_dropdown("episode", ("none yet",))
        self._slider = server.gui.add_slider("tick", 0, 1, 1, 0)
        self._button = server.gui.add_button("pause")
        self._speed = server.gui.add_dropdown("speed", SPEEDS, initial_value="1x")
        self._text = server.gui.add_text("state", "", disabled=True)
        self._server, self._images = server, dict[str, Any]()  # what the cameras saw
        self._episode.on_update(self._choose)
        self._slider.on_update(self._seek)
        self._button.on_click(lambda event: self._pause())

    def add(self, take: Take) -> Take:
        """A new take, behind the others."""
        with self._lock:
            self.takes.append(take)
            self._episode.options = tuple(one.label for one in self.takes)
            if len(self.takes) == 1:
                self._episode.value = take.label
        return take

    def play(self, over: Callable[[], bool]) -> None:
        """Turn until `over`, in real time."""
        last = time.monotonic()
        while not over():
            now = time.monotonic()
            self.turn(now - last)
            last = now
            time.sleep(REFRESH)

    def turn(self, seconds: float) -> None:
        """Let time pass [s], and show where that leads."""
        with self._lock:
            if not self.takes or not self.takes[self._chosen].poses:
                return
            if self._playing:
                self._advance(seconds * float(self._speed.value.removesuffix("x")) / self._dt)
            self._show()

    def _advance(self, ticks: float) -> None:
        last = len(self.takes[self._chosen].poses) - 1
        self._place = min(self._place + ticks, float(last))
        if self._shown != (self._chosen, last) or self.takes[self._chosen].outcome == "running":
            return
        following = self._chosen + 1
        if following < len(self.takes) and self.takes[following].poses:
            self._begin(following)
        elif self._again:
            self._begin(0)

    def _begin(self, chosen: int) -> None:
        self._chosen, self._place = chosen, 0.0
        self._episode.value = self.takes[chosen].label

    def _show(self) -> None:
        take = self.takes[self._chosen]
        tick, last = int(self._place), len(take.poses) - 1
        if self._slider.max != max(1, last):
            self._slider.max = max(1, last)
        if self._shown == (self._chosen, tick):
            return
        self._shown = (self._chosen, tick)
        self._scene.show(take.poses[tick])  # before the controls: what they say is then what is drawn
        self._picture(take, tick)
        self._slider.value = tick
        self._text.value = f"{tick * self._dt:.2f} s of {last * self._dt:.2f} s, {take.outcome}"

    def _picture(self, take: Take, tick: int) -> None:
        for name in {*take.pictures, *self._images}:
            seen = take.pictures.get(name, ())
            picture = np.asarray(seen[tick]) if tick < len(seen) else None
            if name not in self._images and picture is not None:
                self._images[name] = self._server.gui.add_image(picture, label=name)
            elif name in self._images:
                self._images[name].visible = picture is not None
                if picture is not None:
                    self._images[name].image = picture

    def _choose(self, event: Any) -> None:
        if event.client is None:  # the time line itself
            return
        with self._lock:
            labels = [take.label for take in self.takes]
            if self._episode.value in labels:
                self._chosen, self._place = labels.index(self._episode.value), 0.0

    def _seek(self, event: Any) -> None:
        if event.client is None:
            return
        with self._lock:
            last = len(self.takes[self._chosen].poses) - 1 if self.takes else 0
            self._place = float(np.clip(int(self._slider.value), 0, last))

    def _pause(self) -> None:
        with self._lock:
            self._playing = not self._playing
            self._button.label = "pause" if self._playing else "play"

"""Ticks on their way to the log: filled inside the control tick, written by another thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robo_rl.log.layout import APPLIED, COMMANDED, Layout, action_topic, padded_varint
from robo_rl.log.mcap_file import Text
from robo_rl.spec import Spec
from robo_rl.types import Action, Step

NANO = 1_000_000_000


@dataclass(slots=True)
class Moment:
    """What the recorder itself adds to a tick of R rows."""

    keep: np.ndarray  # (R,) bool, rows that belong into the log
    time: int  # [ns], Unix
    tick: int  # of the recording
    episode: np.ndarray  # (R,) uint64, episodes begun before this one
    timing: list[float]


class TickBuffer:
    """K ticks of R rows, as the bytes of their records.

    Attributes:
        count: ticks in use.
        keep: (K, R) bool, which of them belong into the log.
        texts: (row, text) for the text channels.
    """

    def __init__(self, layout: Layout, obs_spec: Spec, extra_spec: Spec, ticks: int, rows: int) -> None:
        self.bytes = np.tile(layout.template, (ticks, rows, 1))
        self.keep = np.zeros((ticks, rows), bool)
        self.time = np.zeros(ticks, np.uint64)  # [ns], Unix
        self.tick = np.zeros(ticks, np.uint64)
        self.texts: list[tuple[int, Text]] = []
        self.count, self.ticks, self._layout = 0, ticks, layout
        records = self.bytes.view(layout.dtype)[..., 0]
        field = self._field = {name: records[name] for name in layout.dtype.names or ()}
        self._observed = [(key, field[f"obs/{key}:value"], field[f"obs/{key}:stamp"]) for key in obs_spec]
        self._extras = [(key, field[f"{action_topic(key)}:value"]) for key in extra_spec]
        self._joints = [name for name in field if name.startswith(("joint_states:position", "joint_states:velocity"))]

    @property
    def full(self) -> bool:
        return self.count == self.ticks

    @property
    def empty(self) -> bool:
        return not self.count and not self.texts

    def clear(self) -> None:
        self.count = 0
        self.texts.clear()

    def add(self, step: Step, action: Action, rows: slice | np.ndarray, moment: Moment) -> None:
        """Copy one tick of the rows `rows` of step and action."""
        k, field = self.count, self._field
        for key, value, stamp in self._observed:
            captured = step.stamp.get(key)
            value[k] = step.obs[key][rows]
            stamp[k] = np.nan if captured is None else captured[rows]
        field[f"{COMMANDED}:value"][k] = action.value[rows]
        field[f"{APPLIED}:value"][k] = step.applied[rows]
        for key, value in self._extras:
            value[k] = action.extra[key][rows]
        field["timing:value"][k] = moment.timing
        self._add_step(k, step, rows, moment)
        self.keep[k], self.time[k], self.tick[k] = moment.keep, moment.time, moment.tick
        self.count = k + 1

    def _add_step(self, k: int, step: Step, rows: slice | np.ndarray, moment: Moment) -> None:
        field, success = self._field, step.success[rows]
        field["step:reward"][k] = step.reward[rows]
        field["step:discount"][k] = step.discount[rows]
        field["step:kind"][k] = step.kind[rows]
        field["step:success"][k] = (success << 1) ^ (success >> 7)  # zigzag: the sign in the lowest bit
        field["step:reason"][k] = step.reason[rows]
        field["step:seed"][k] = step.seed[rows]
        field["step:episode"][k] = moment.episode
        field["step:tick"][k] = moment.tick

    def seal(self) -> None:
        """Fill in what all records of a tick share: log time and sequence number."""
        used, field = slice(self.count), self._field
        time, tick = self.time[used, None], self.tick[used, None]
        for channel in self._layout.channels[: self._layout.ticked]:
            head = field[channel.topic][used]
            head["log"] = head["publish"] = time
            head["sequence"] = tick & np.uint64(0xFFFFFFFF)
        for name in self._joints:
            quantity, index = name.removeprefix("joint_states:")[:8], int(name.removeprefix("joint_states:")[8:])
            field[name][used] = field[f"obs/joint_{quantity}:value"][used, :, index]
        if self._joints:
            seconds, nanos = np.divmod(self.time[used], np.uint64(NANO))
            field["joint_states:seconds"][used] = padded_varint(seconds)[:, None]
            field["joint_states:nanos"][used] = padded_varint(nanos)[:, None]

    def chunk(self, row: int) -> tuple[np.ndarray, np.ndarray, list[Text]]:
        """Records (k, B) of a row's kept ticks, their times (k,) [ns], and the row's texts."""
        kept = np.flatnonzero(self.keep[: self.count, row])
        return self.bytes[kept, row], self.time[kept], [text for owner, text in self.texts if owner == row]

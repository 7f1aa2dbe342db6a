"""Messages into arrays: whole columns where the bytes are those that the recorder writes, else one by one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robo_rl.log.layout import Channel, signal, step, storage
from robo_rl.log.schema import SIGNAL, STEP, message_class
from robo_rl.spec import Feature

STEP_DTYPES = {"reward": "f4", "discount": "f4", "kind": "u1", "success": "i1", "reason": "u1", "seed": "i8"}
STEP_DTYPES |= {"tick": "u8"}


class Fixed:
    """Decodes payloads that follow a channel's template."""

    def __init__(self, channel: Channel) -> None:
        template = np.frombuffer(channel.payload, np.uint8)
        constant = np.ones(len(template), bool)
        for dtype, offset in channel.fields.values():
            constant[offset : offset + dtype.itemsize] = False
        self._length, self._fields = len(template), channel.fields
        self._at = np.flatnonzero(constant)
        self._expected = template[self._at]

    def __call__(self, payloads: np.ndarray) -> dict[str, np.ndarray] | None:
        """The fields of payloads (K, L), (K, *shape) each; None where they do not follow the template."""
        if payloads.shape[1] != self._length or not (payloads[:, self._at] == self._expected).all():
            return None
        return {name: _field(payloads, dtype, offset) for name, (dtype, offset) in self._fields.items()}


def _field(payloads: np.ndarray, dtype: np.dtype, offset: int) -> np.ndarray:
    part = payloads[:, offset : offset + dtype.itemsize].tobytes()
    return np.frombuffer(part, dtype.base).reshape(len(payloads), *dtype.shape)


class SignalColumn:
    """Decodes the messages of a `robo_rl.Signal` channel."""

    def __init__(self, topic: str, feature: Feature) -> None:
        self._feature, self._fixed = feature, Fixed(signal(topic, feature))

    def __call__(self, payloads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (K, *shape) in the feature's dtype and stamps (K,)."""
        found = self._fixed(payloads)
        if found is not None:
            return found["value"].astype(self._feature.dtype), found["stamp"]
        return self._one_by_one(payloads)

    def _one_by_one(self, payloads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        message, values, pixels = message_class(SIGNAL)(), [], []
        name, _, wire = storage(self._feature)
        stamps = np.empty(len(payloads))
        for index, payload in enumerate(payloads):
            message.ParseFromString(payload.tobytes())
            if name == "data":
                pixels.append(message.data)
            else:
                values.extend(getattr(message, name))
            stamps[index] = message.stamp
        flat = np.frombuffer(b"".join(pixels), wire) if name == "data" else np.array(values, wire)
        return flat.reshape(len(payloads), *self._feature.shape).astype(self._feature.dtype), stamps


_STEP = Fixed(step())


def steps(payloads: np.ndarray) -> dict[str, np.ndarray]:
    """Columns (K,) of `robo_rl.Step` messages."""
    found = _STEP(payloads)
    if found is not None and all((found[name] < 128).all() for name in ("kind", "success", "reason")):
        zigzag = found["success"]
        found["success"] = (zigzag >> 1).astype(np.int8) ^ -(zigzag & 1).astype(np.int8)
        return {name: found[name].astype(dtype) for name, dtype in STEP_DTYPES.items()}
    message, columns = message_class(STEP)(), {name: [] for name in STEP_DTYPES}
    for payload in payloads:
        message.ParseFromString(payload.tobytes())
        for name, column in columns.items():
            column.append(getattr(message, name))
    return {name: np.array(column, STEP_DTYPES[name]) for name, column in columns.items()}


def timing(payloads: np.ndarray) -> Mapping[str, np.ndarray]:
    """Named columns (K,) of the `timing` channel."""
    first = message_class(SIGNAL)()
    first.ParseFromString(payloads[0].tobytes())
    names = tuple(first.names)
    values, _ = SignalColumn("timing", Feature((len(names),), "float64", names=names))(payloads)
    return dict(zip(names, values.T, strict=True))

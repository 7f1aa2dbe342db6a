"""Where every number of one logged tick lies in the bytes of its MCAP message records.

For given specs, the records of a tick (all channels of one row) always have the same length: names are constant,
numbers have a fixed width. So a tick is written by assigning arrays into a template, N rows at once, instead of by
serialising message by message: the bytes are plain protobuf all the same (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robo_rl.log.images import is_picture
from robo_rl.log.schema import IMAGE, JOINTS, LOG, SIGNAL, STEP
from robo_rl.spec import Feature, Spec

OPCODE_MESSAGE = 5
HEAD = struct.Struct("<BQHIQQ")  # opcode, length, channel, sequence, log time, publish time of a message record
_AFTER_LENGTH = HEAD.size - 9
COMMANDED, APPLIED, BASE = "action/commanded", "action/applied", "action/base"
TEXT_TOPICS = ("safety", "events")
SHOWN = Feature((1,), "int64", unit="ns")  # log time of the message that holds a tick's picture
_F64, _VARINT, _BYTES = 1, 0, 2  # protobuf wire types


@dataclass(frozen=True)
class Channel:
    """A topic with the bytes of its message; `fields` maps a name to (dtype, offset in the payload)."""

    topic: str
    schema: str
    payload: bytes = b""
    fields: Mapping[str, tuple[Any, int]] = field(default_factory=dict)


class _Payload:
    """Grows a constant payload and remembers where its variable fields lie."""

    def __init__(self) -> None:
        self.data, self.fields = b"", {}

    def tag(self, number: int, wire: int) -> _Payload:
        self.data += varint(number << 3 | wire)
        return self

    def block(self, number: int, data: bytes) -> _Payload:
        self.tag(number, _BYTES).data += varint(len(data)) + data
        return self

    def variable(self, name: str, dtype: Any, start: Any = 0) -> _Payload:
        kind = np.dtype(dtype)
        self.fields[name] = (kind, len(self.data))
        self.data += np.full(kind.shape, start, kind.base).tobytes()
        return self


def varint(value: int) -> bytes:
    """Base-128 encoding of a non-negative integer."""
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))


def storage(feature: Feature) -> tuple[str, int, str]:
    """Where a feature's elements go in a `Signal`: (field name, field number, dtype on the wire).

    `values` (double) holds every float, integer of up to 32 bits and bool exactly; `integers` the 64-bit ones (unsigned
    ones as their two's complement); `data` the raw bytes of pixels: 8-bit elements with more than one axis.
    """
    dtype = np.dtype(feature.dtype)
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise ValueError(f"dtype {feature.dtype} cannot be logged")
    if dtype.itemsize == 1 and len(feature.shape) > 1:
        return "data", 5, dtype.str
    if dtype.kind in "iu" and dtype.itemsize == 8:
        return "integers", 4, "<i8"
    return "values", 2, "<f8"


def signal(topic: str, feature: Feature) -> Channel:
    """A channel of `robo_rl.Signal` messages with the fields "value" and "stamp"."""
    payload = _Payload()
    for name in feature.names:
        payload.block(1, name.encode())
    _, number, wire = storage(feature)
    size = feature.size * np.dtype(wire).itemsize
    payload.tag(number, _BYTES).data += varint(size)
    payload.variable("value", (wire, feature.shape))
    payload.tag(3, _F64).variable("stamp", "<f8", np.nan)
    return Channel(topic, SIGNAL, payload.data, payload.fields)


def step() -> Channel:
    """The channel of `robo_rl.Step` messages; `success` is in zigzag encoding."""
    payload = _Payload()
    payload.tag(1, _F64).variable("reward", "<f8").tag(2, _F64).variable("discount", "<f8")
    payload.tag(3, _VARINT).variable("kind", "u1").tag(4, _VARINT).variable("success", "u1")
    payload.tag(5, _VARINT).variable("reason", "u1").tag(6, _F64).variable("seed", "<i8")
    payload.tag(7, _F64).variable("episode", "<u8").tag(8, _F64).variable("tick", "<u8")
    return Channel("step", STEP, payload.data, payload.fields)


def joint_states(names: Sequence[str], velocity: bool) -> Channel:
    """`foxglove.JointStates`, one variable field a joint and quantity; the time stamp is padded to a fixed width."""
    payload = _Payload()
    payload.tag(1, _BYTES).data += varint(12)
    payload.tag(1, _VARINT).variable("seconds", ("u1", (5,))).tag(2, _VARINT).variable("nanos", ("u1", (5,)))
    for index, name in enumerate(names):
        named = _Payload().block(1, name.encode()).data
        payload.tag(2, _BYTES).data += varint(len(named) + 9 * (1 + velocity)) + named
        payload.tag(2, _F64).variable(f"position{index}", "<f8")
        if velocity:
            payload.tag(3, _F64).variable(f"velocity{index}", "<f8")
    return Channel("joint_states", JOINTS, payload.data, payload.fields)


def padded_varint(values: np.ndarray) -> np.ndarray:
    """Values (K,) below 2**35 as five-byte varints, (K, 5) uint8."""
    shifted = values[:, None].astype(np.uint64) >> np.arange(0, 35, 7, dtype=np.uint64)
    return (shifted & np.uint64(127)).astype(np.uint8) | np.array([128, 128, 128, 128, 0], np.uint8)


def action_topic(key: str) -> str:
    """Topic of an action's extra: the base policy's action has a name of its own."""
    topic = BASE if key == "base_action" else f"action/{key}"
    if topic in (COMMANDED, APPLIED) or key == "base":
        raise ValueError(f"extra {key!r}: the channel {topic} is taken")
    return topic


def obs_topic(key: str) -> str:
    return f"obs/{key}"


def capture_topic(key: str) -> str:
    """Topic that says which picture of a key a tick saw."""
    return f"capture/{key}"


def pictures(obs_spec: Spec) -> dict[str, Feature]:
    """The observations that are logged as pictures."""
    return {key: feature for key, feature in obs_spec.items() if is_picture(feature)}


def signals(obs_spec: Spec, act_spec: Feature, extra_spec: Spec) -> dict[str, Feature]:
    """Topic -> feature of every array that is logged every tick, in the order of the channels.

    A picture is a message of its own; the tick says which one it saw, and when that was captured.
    """
    topics = {
        capture_topic(key) if is_picture(feature) else obs_topic(key): SHOWN if is_picture(feature) else feature
        for key, feature in obs_spec.items()
    }
    topics |= {COMMANDED: act_spec, APPLIED: act_spec}
    return topics | {action_topic(key): feature for key, feature in extra_spec.items()}


def _channels(obs_spec: Spec, act_spec: Feature, extra_spec: Spec, timing: Sequence[str]) -> list[Channel]:
    channels = [signal(topic, feature) for topic, feature in signals(obs_spec, act_spec, extra_spec).items()]
    channels += [signal("timing", Feature((len(timing),), "float64", names=tuple(timing))), step()]
    joints, speed = obs_spec.get("joint_position"), obs_spec.get("joint_velocity")
    if joints is not None and joints.names and len(joints.shape) == 1:
        channels.append(joint_states(joints.names, speed is not None and speed.shape == joints.shape))
    return channels


class Layout:
    """The records of one tick of one row.

    Attributes:
        channels: all channels; channel i has the MCAP id i + 1. Texts and pictures come last and have no tick record.
        ticked: how many of them have a record every tick.
        obs, extra: keys of the observations, without pictures, and of the action's extras.
        pictures: key -> feature.
        template: (B,) uint8, the constant bytes.
        dtype: structured dtype over B bytes; its fields are "topic:field", and "topic" for a record's head.
        offsets: (ticked,) offset of each record.
    """

    def __init__(self, obs_spec: Spec, act_spec: Feature, extra_spec: Spec, timing: Sequence[str]) -> None:
        ticked = _channels(obs_spec, act_spec, extra_spec, timing)
        self.pictures = pictures(obs_spec)
        self.ticked, self.extra = len(ticked), tuple(extra_spec)
        self.obs = tuple(key for key in obs_spec if key not in self.pictures)
        self.channels = [*ticked, *(Channel(topic, LOG) for topic in TEXT_TOPICS)]
        self.channels += [Channel(obs_topic(key), IMAGE) for key in self.pictures]
        head = np.dtype([("sequence", "<u4"), ("log", "<u8"), ("publish", "<u8")])
        data, fields, offsets = b"", {}, []
        for index, channel in enumerate(ticked):
            offsets.append(len(data))
            fields[channel.topic] = (head, len(data) + 11)
            data += HEAD.pack(OPCODE_MESSAGE, _AFTER_LENGTH + len(channel.payload), index + 1, 0, 0, 0)
            for name, (dtype, offset) in channel.fields.items():
                fields[f"{channel.topic}:{name}"] = (dtype, len(data) + offset)
            data += channel.payload
        self.template = np.frombuffer(data, np.uint8)
        self.offsets = np.array(offsets, np.uint64)
        self.dtype = np.dtype(
            {
                "names": list(fields),
                "formats": [dtype for dtype, _ in fields.values()],
                "offsets": [offset for _, offset in fields.values()],
                "itemsize": len(data),
            }
        )

    def channel_id(self, topic: str) -> int:
        return 1 + [channel.topic for channel in self.channels].index(topic)

"""Protobuf messages of the logs, built without protoc, and the wire format of their fields.

Field numbers are final. Own messages: `robo_rl.Signal` (any array), `robo_rl.Step` (an episode's bookkeeping).
Foxglove's well-known ones (github.com/foxglove/foxglove-sdk, schemas/proto): `foxglove.JointStates`, `foxglove.Log`,
`foxglove.CompressedImage`.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from mcap_protobuf.schema import build_file_descriptor_set

from robo_rl.types import Kind, Reason

FORMAT = 1  # of the whole file; a reader refuses a larger one

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "double": _Field.TYPE_DOUBLE,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "sint32": _Field.TYPE_SINT32,
    "fixed32": _Field.TYPE_FIXED32,
    "fixed64": _Field.TYPE_FIXED64,
    "sfixed64": _Field.TYPE_SFIXED64,
}


def _message(file: Any, name: str, *fields: tuple[int, str, str], repeated: tuple[str, ...] = ()) -> Any:
    """Add a message; a field is (number, type, name), the type a scalar's name, an ".enum:" or a ".message"."""
    message = file.message_type.add(name=name)
    for number, kind, field in fields:
        label = _Field.LABEL_REPEATED if field in repeated else _Field.LABEL_OPTIONAL
        added = message.field.add(name=field, number=number, label=label)
        if kind in _TYPES:
            added.type = _TYPES[kind]
        elif kind.startswith("enum:"):
            added.type, added.type_name = _Field.TYPE_ENUM, kind.removeprefix("enum:")
        else:
            added.type, added.type_name = _Field.TYPE_MESSAGE, kind
    return message


def _optional(message: Any, *names: str) -> None:
    """proto3 `optional`: presence is tracked, by a one-field oneof."""
    for field in message.field:
        if field.name in names:
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")


def _enum(owner: Any, name: str, values: dict[str, int]) -> None:
    enum = owner.add(name=name)
    for label, number in values.items():
        enum.value.add(name=label, number=number)


def _own_file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="robo_rl/log.proto", package="robo_rl", syntax="proto3")
    signal = ((1, "string", "names"), (2, "double", "values"), (3, "double", "stamp"))
    signal += ((4, "sfixed64", "integers"), (5, "bytes", "data"))
    _message(file, "Signal", *signal, repeated=("names", "values", "integers"))
    _enum(file.enum_type, "Kind", {f"KIND_{kind.name}": int(kind) for kind in Kind})
    _enum(file.enum_type, "Reason", {f"REASON_{reason.name}": int(reason) for reason in Reason})
    step = ((1, "double", "reward"), (2, "double", "discount"), (3, "enum:.robo_rl.Kind", "kind"))
    step += ((4, "sint32", "success"), (5, "enum:.robo_rl.Reason", "reason"), (6, "sfixed64", "seed"))
    step += ((7, "fixed64", "episode"), (8, "fixed64", "tick"))
    _message(file, "Step", *step)
    return file


def _foxglove_file(name: str) -> Any:
    path = f"foxglove/{name}.proto"
    file = descriptor_pb2.FileDescriptorProto(name=path, package="foxglove", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    return file


def _log_file() -> Any:
    file = _foxglove_file("Log")
    fields = ((1, ".google.protobuf.Timestamp", "timestamp"), (2, "enum:.foxglove.Log.Level", "level"))
    fields += ((3, "string", "message"), (4, "string", "name"), (5, "string", "file"), (6, "fixed32", "line"))
    message = _message(file, "Log", *fields)
    levels = ("UNKNOWN", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL")
    _enum(message.enum_type, "Level", {label: number for number, label in enumerate(levels)})
    return file


def _joint_files() -> list[Any]:
    joint = descriptor_pb2.FileDescriptorProto(name="foxglove/JointState.proto", package="foxglove", syntax="proto3")
    fields = ((1, "string", "name"), (2, "double", "position"), (3, "double", "velocity"))
    fields += ((4, "double", "acceleration"), (5, "double", "effort"))
    _optional(_message(joint, "JointState", *fields), "position", "velocity", "acceleration", "effort")
    joints = _foxglove_file("JointStates")
    joints.dependency.append("foxglove/JointState.proto")
    fields = ((1, ".google.protobuf.Timestamp", "timestamp"), (2, ".foxglove.JointState", "joints"))
    _message(joints, "JointStates", *fields, repeated=("joints",))
    return [joint, joints]


def _image_file() -> Any:
    file = _foxglove_file("CompressedImage")
    fields = ((1, ".google.protobuf.Timestamp", "timestamp"), (2, "bytes", "data"), (3, "string", "format"))
    _message(file, "CompressedImage", *fields, (4, "string", "frame_id"))
    return file


_POOL = descriptor_pool.DescriptorPool()  # our own: another library may have registered foxglove's names already
_POOL.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
for _file in (_own_file(), _log_file(), *_joint_files(), _image_file()):
    _POOL.Add(_file)


def message_class(name: str) -> Any:
    """The protobuf class of a full name, e.g. "robo_rl.Signal"."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


SIGNAL, STEP, LOG, JOINTS = "robo_rl.Signal", "robo_rl.Step", "foxglove.Log", "foxglove.JointStates"
IMAGE = "foxglove.CompressedImage"
SCHEMAS = (SIGNAL, STEP, LOG, JOINTS, IMAGE)


def descriptor_set(name: str) -> bytes:
    """Serialized `FileDescriptorSet` of a message with its dependencies: the data of an MCAP schema."""
    return build_file_descriptor_set(message_class(name)).SerializeToString()


def log_text(time: int, level: str, text: str, name: str) -> bytes:
    """A serialized `foxglove.Log`; time is in Unix ns."""
    message = message_class(LOG)(level=level, message=text, name=name)
    message.timestamp.FromNanoseconds(time)
    return message.SerializeToString()


def image(stamp: float, time: int, data: bytes, kind: str, frame: str) -> bytes:
    """A serialized `foxglove.CompressedImage`: its capture stamp [s], on the sensor's own clock; without one, its log
    time [ns]."""
    message = message_class(IMAGE)(data=data, format=kind, frame_id=frame)
    message.timestamp.FromNanoseconds(round(stamp * 1e9) if isfinite(stamp) else time)
    return message.SerializeToString()

"""Messages of the Unitree Go2's low level, as its topics `rt/lowcmd` and `rt/lowstate` carry them, and of its services.

Octets are `types.byte`: with it Cyclone DDS 11 computes the type hash that the robot's version 0.10.2 announces. With
`types.uint8` the hash differs, and a peer of that version crashes while it discovers the type.

These definitions tell the middleware what a type is. Nothing is built from those of the low level: see `go2_packets`.
"""

from dataclasses import dataclass, field

from cyclonedds.idl import IdlStruct, annotations, types

_GO, _API = "unitree_go.msg.dds_", "unitree_api.msg.dds_"


@dataclass
@annotations.final
@annotations.autoid("sequential")
class MotorCmd(IdlStruct, typename=f"{_GO}.MotorCmd_"):
    mode: types.byte
    q: types.float32
    dq: types.float32
    tau: types.float32
    kp: types.float32
    kd: types.float32
    reserve: types.array[types.uint32, 3]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class BmsCmd(IdlStruct, typename=f"{_GO}.BmsCmd_"):
    off: types.byte
    reserve: types.array[types.byte, 3]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class LowCmd(IdlStruct, typename=f"{_GO}.LowCmd_"):
    head: types.array[types.byte, 2]
    level_flag: types.byte
    frame_reserve: types.byte
    sn: types.array[types.uint32, 2]
    version: types.array[types.uint32, 2]
    bandwidth: types.uint16
    motor_cmd: types.array[MotorCmd, 20]
    bms_cmd: BmsCmd
    wireless_remote: types.array[types.byte, 40]
    led: types.array[types.byte, 12]
    fan: types.array[types.byte, 2]
    gpio: types.byte
    reserve: types.uint32
    crc: types.uint32


@dataclass
@annotations.final
@annotations.autoid("sequential")
class ImuState(IdlStruct, typename=f"{_GO}.IMUState_"):
    quaternion: types.array[types.float32, 4]
    gyroscope: types.array[types.float32, 3]
    accelerometer: types.array[types.float32, 3]
    rpy: types.array[types.float32, 3]
    temperature: types.byte


@dataclass
@annotations.final
@annotations.autoid("sequential")
class MotorState(IdlStruct, typename=f"{_GO}.MotorState_"):
    mode: types.byte
    q: types.float32
    dq: types.float32
    ddq: types.float32
    tau_est: types.float32
    q_raw: types.float32
    dq_raw: types.float32
    ddq_raw: types.float32
    temperature: types.byte
    lost: types.uint32
    reserve: types.array[types.uint32, 2]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class BmsState(IdlStruct, typename=f"{_GO}.BmsState_"):
    version_high: types.byte
    version_low: types.byte
    status: types.byte
    soc: types.byte
    current: types.int32
    cycle: types.uint16
    bq_ntc: types.array[types.byte, 2]
    mcu_ntc: types.array[types.byte, 2]
    cell_vol: types.array[types.uint16, 15]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class LowState(IdlStruct, typename=f"{_GO}.LowState_"):
    head: types.array[types.byte, 2]
    level_flag: types.byte
    frame_reserve: types.byte
    sn: types.array[types.uint32, 2]
    version: types.array[types.uint32, 2]
    bandwidth: types.uint16
    imu_state: ImuState
    motor_state: types.array[MotorState, 20]
    bms_state: BmsState
    foot_force: types.array[types.int16, 4]
    foot_force_est: types.array[types.int16, 4]
    tick: types.uint32
    wireless_remote: types.array[types.byte, 40]
    bit_flag: types.byte
    adc_reel: types.float32
    temperature_ntc1: types.byte
    temperature_ntc2: types.byte
    power_v: types.float32
    power_a: types.float32
    fan_frequency: types.array[types.uint16, 4]
    reserve: types.uint32
    crc: types.uint32


@dataclass
@annotations.final
@annotations.autoid("sequential")
class Identity(IdlStruct, typename=f"{_API}.RequestIdentity_"):
    id: types.int64 = 0
    api_id: types.int64 = 0


@dataclass
@annotations.final
@annotations.autoid("sequential")
class Lease(IdlStruct, typename=f"{_API}.RequestLease_"):
    id: types.int64 = 0


@dataclass
@annotations.final
@annotations.autoid("sequential")
class Policy(IdlStruct, typename=f"{_API}.RequestPolicy_"):
    priority: types.int32 = 0
    noreply: bool = False


@dataclass
@annotations.final
@annotations.autoid("sequential")
class RequestHeader(IdlStruct, typename=f"{_API}.RequestHeader_"):
    identity: Identity = field(default_factory=Identity)
    lease: Lease = field(default_factory=Lease)
    policy: Policy = field(default_factory=Policy)


@dataclass
@annotations.final
@annotations.autoid("sequential")
class Request(IdlStruct, typename=f"{_API}.Request_"):
    header: RequestHeader = field(default_factory=RequestHeader)
    parameter: str = ""
    binary: types.sequence[types.byte] = field(default_factory=list)  # pyright: ignore[reportAssignmentType]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class Status(IdlStruct, typename=f"{_API}.ResponseStatus_"):
    code: types.int32 = 0


@dataclass
@annotations.final
@annotations.autoid("sequential")
class ResponseHeader(IdlStruct, typename=f"{_API}.ResponseHeader_"):
    identity: Identity = field(default_factory=Identity)
    status: Status = field(default_factory=Status)


@dataclass
@annotations.final
@annotations.autoid("sequential")
class Response(IdlStruct, typename=f"{_API}.Response_"):
    header: ResponseHeader = field(default_factory=ResponseHeader)
    data: str = ""
    binary: types.sequence[types.byte] = field(default_factory=list)  # pyright: ignore[reportAssignmentType]

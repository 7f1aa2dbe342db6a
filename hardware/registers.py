"""Registers of bus servos, and how numbers stand in them: little-endian, signed in one of two ways."""

from __future__ import annotations

from typing import NamedTuple

TURN = 4096  # [ticks] a turn, of every servo driven here
BROADCAST = 0xFE  # the id that all servos listen to
SYNC_WRITE = 0x83


class Register(NamedTuple):
    """One register: address, bytes, and the bit that holds the sign of a number in sign and magnitude, or whether it is
    in two's complement (neither: unsigned)."""

    address: int
    size: int
    sign: int | None = None
    complement: bool = False


def encode(value: int, register: Register) -> list[int]:
    """Bytes of a register's value. Raises `ValueError` when it does not fit."""
    try:
        if register.sign is None:
            return list(value.to_bytes(register.size, "little", signed=register.complement))
        if abs(value) >> register.sign:
            raise OverflowError
        word = abs(value) | (value < 0) << register.sign
        return list(word.to_bytes(register.size, "little"))
    except OverflowError:
        raise ValueError(f"{value} does not fit register {register.address}") from None


def decode(data: bytes | list[int], register: Register, start: int | None = None) -> int:
    """Value of a register in bytes that were read from address `start` (default: the register's own) on."""
    offset = 0 if start is None else register.address - start
    word = int.from_bytes(bytes(data[offset : offset + register.size]), "little", signed=register.complement)
    if register.sign is None:
        return word
    magnitude = word & ((1 << register.sign) - 1)
    return -magnitude if word >> register.sign & 1 else magnitude

"""Register formats, checked against the functions of Feetech's own SDK."""

from __future__ import annotations

import pytest
import scservo_sdk as sdk
from hypothesis import given
from hypothesis import strategies as st

from hardware import sts3215
from hardware.registers import Register, decode, encode

SIGNED = [sts3215.HOMING_OFFSET, sts3215.GOAL_POSITION, sts3215.PRESENT_VELOCITY, sts3215.PRESENT_LOAD]


@pytest.mark.parametrize("register", SIGNED)
@given(st.data())
def test_signed_words_are_those_of_the_sdk(register: Register, data: st.DataObject) -> None:
    value = data.draw(st.integers(-(2**register.sign) + 1, 2**register.sign - 1))
    word = sdk.SCS_TOSCS(value, register.sign)
    assert encode(value, register) == [sdk.SCS_LOBYTE(word), sdk.SCS_HIBYTE(word)]
    assert decode(encode(value, register), register) == sdk.SCS_TOHOST(word, register.sign) == value


@pytest.mark.parametrize(
    ("value", "register"), [(2048, sts3215.HOMING_OFFSET), (-1, sts3215.LOCK), (256, sts3215.LOCK)]
)
def test_a_value_that_does_not_fit_is_refused(value: int, register: Register) -> None:
    with pytest.raises(ValueError, match=f"{value} does not fit"):
        encode(value, register)


def test_a_register_is_found_in_a_longer_reading() -> None:
    data = [0, 8, 0x2C, 0x81]  # position 2048, velocity -300
    assert decode(data, sts3215.PRESENT_POSITION, 56) == 2048
    assert decode(data, sts3215.PRESENT_VELOCITY, 56) == -300


def test_error_bits_have_names() -> None:
    assert sts3215.error_names(4 | 32) == "overheating, overload"
    assert sts3215.error_names(64) == "error 64"

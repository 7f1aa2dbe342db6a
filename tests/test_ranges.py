"""Ranges of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robo_rl.errors import UserError
from robo_rl.ranges import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, SHARE_ABOVE_0, SHARE_BELOW_1, Range, whole, widths

GOOD = [
    (COUNT, (1, 10**9, np.int64(3))),
    (POSITIVE, (1e-9, 1, np.float32(0.5))),
    (NOT_NEGATIVE.or_null, (0, 0.5, None)),
    (SHARE, (0, 1, 0.5)),
    (SHARE_ABOVE_0, (0.1, 1)),
    (SHARE_BELOW_1, (0, 0.99)),
    (whole(0, 99), (0, 99)),
    (widths(1), ([256, 256], (1,))),
    (widths(0), ([],)),
]
BAD = [
    (COUNT, (0, -1, 1.0, True, None, "3", float("nan"))),
    (POSITIVE, (0, -1.0, float("inf"), float("nan"), None, "abc", True)),
    (NOT_NEGATIVE, (-0.1, None, [1])),
    (SHARE, (-0.1, 1.1)),
    (SHARE_ABOVE_0, (0, 1.1)),
    (SHARE_BELOW_1, (-0.1, 1)),
    (whole(0, 99), (-1, 100)),
    (widths(1), ([], [0], ["a"], 256, None)),
]


@pytest.mark.parametrize(("valid", "value"), [(valid, value) for valid, values in GOOD for value in values])
def test_what_lies_in_it_passes(valid: Range, value: Any) -> None:
    valid.check("key", value)


@pytest.mark.parametrize(("valid", "value"), [(valid, value) for valid, values in BAD for value in values])
def test_what_does_not_is_said_with_key_value_and_range(valid: Range, value: Any) -> None:
    with pytest.raises(UserError, match=r"^the\.key=.*: expected ") as error:
        valid.check("the.key", value)
    assert valid.text in str(error.value)


def test_values_are_shown_as_they_are_typed() -> None:
    for value, shown in ((None, "null"), (True, "true"), (["a", None], "[a,null]")):
        with pytest.raises(UserError, match=rf"key={shown}:".replace("[", r"\[")):
            COUNT.check("key", value)

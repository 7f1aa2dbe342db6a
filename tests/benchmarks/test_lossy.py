"""The session on a bus that loses packets, for two seconds."""

from __future__ import annotations

from benchmarks import lossy


def test_a_session_says_what_it_lost():
    found = lossy.session("koch", 2.0, 0.005)
    (driver,) = found["drivers"].values()
    assert driver["retried"] > 0 and not found["fault"] and found["ticks"] > 60

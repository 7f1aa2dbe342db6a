"""`deploy compare=base`: blind, interleaved, stopped early, resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policies.bundle import load_bundle
from robo_rl.app.compare import FILE, Comparison, PairSeeds
from robo_rl.errors import UserError
from robo_rl.log.reader import find_logs, read_log
from robo_rl.types import Action, Kind, Reason, Step, Success
from tests.app.support import assert_mistake, make_bundle

SHORT = ("task.task.config.limit=0.2",)  # [s]
ONE = np.ones(1, bool)


def ended(seed: int, success: bool, reason: Reason = Reason.SUCCESS, label: Success | None = None) -> Step:
    label = (Success.YES if success else Success.NO) if label is None else label
    numbers = [np.array([value]) for value in (1.0, 0.0, Kind.LAST)]
    return Step({}, *numbers, np.zeros((1, 2)), np.array([label]), np.array([reason]), np.array([seed]))


def watch(comparison: Comparison, success: dict[str, list[bool]]) -> None:
    """Feed episodes until it is over; each policy's outcomes in turn."""
    from policies.blind import order_of

    left = {name: iter(outcomes) for name, outcomes in success.items()}
    while not comparison.over:
        number = len(comparison.rows)
        name = comparison.names[order_of(comparison.seed, number // 2)[number % 2]]
        comparison(ended(number // 2, next(left[name])), Action(np.zeros((1, 2))))


def test_it_stops_as_soon_as_it_is_clear(tmp_path: Path) -> None:
    comparison = Comparison(("base", "residual"), 3, 50, 0.05, tmp_path / FILE)
    watch(comparison, {"base": [False] * 50, "residual": [True] * 50})
    result = comparison.result()
    assert result["better"] == "residual" and result["pairs"] < 12
    assert result["policies"]["base"]["success_rate"] == 0 and result["policies"]["residual"]["success_rate"] == 1
    assert result["difference"]["mean"] == 1 and -0.5 < result["difference"]["ci_low"] < 1
    assert result["evidence"]["residual"] >= result["evidence"]["needed"] == 40


def test_alike_policies_end_undecided(tmp_path: Path) -> None:
    comparison = Comparison(("base", "residual"), 3, 6, 0.05, tmp_path / FILE)
    watch(comparison, {"base": [True, False] * 3, "residual": [False, True] * 3})
    assert comparison.result()["better"] == "undecided" and len(comparison.rows) == 12


def test_a_fault_is_nobodys_failure(tmp_path: Path) -> None:
    comparison = Comparison(("base", "residual"), 3, 6, 0.05, tmp_path / FILE)
    comparison(ended(0, False, Reason.FAULT), Action(np.zeros((1, 2))))
    assert comparison.rows == []
    with pytest.raises(UserError, match="nobody could say"):
        comparison(ended(0, False, Reason.TIMEOUT, Success.UNKNOWN), Action(np.zeros((1, 2))))


def test_both_policies_of_a_pair_get_the_same_scene() -> None:
    seeds = PairSeeds(100, 6)
    assert [int(seeds.take(ONE)[0]) for _ in range(7)] == [100, 100, 101, 101, 102, 102, -1]


@pytest.fixture
def corrected(run_folder: Path, tmp_path: Path) -> Path:
    """A run whose residual does something."""
    import torch

    from policies.bundle import load_bundle

    bundle = load_bundle(run_folder)
    assert bundle.actor is not None
    with torch.no_grad():
        for weight in bundle.actor.head.parameters():
            weight.add_(0.1)
    bundle.save(tmp_path / "corrected" / "policy")
    return tmp_path / "corrected"


def test_a_comparison_on_a_rig_goes_on_after_an_interrupt(robo_rl, corrected, tmp_path) -> None:
    arguments = ("deploy", f"run={corrected}", "compare=base", "episodes=3", *SHORT, f"out={tmp_path / 'c'}")
    code, text, error = robo_rl(*arguments, "seconds=0.5")  # in the middle of an episode
    assert code == 0, error
    before = json.loads((tmp_path / "c" / FILE).read_text())["rows"]
    assert 0 < len(before) < 6
    code, text, error = robo_rl(*arguments, "resume=true")
    assert code == 0, error
    result = json.loads((tmp_path / "c" / "result.json").read_text())["comparison"]
    after = json.loads((tmp_path / "c" / FILE).read_text())["rows"]
    assert after[: len(before)] == before and len(after) == 6 and "undecided after 3 pairs" in text
    assert result["better"] == "undecided" and result["pairs"] == 3
    by_pair = [{row["policy"] for row in after[at : at + 2]} for at in (0, 2, 4)]
    assert by_pair == [{"base", "residual"}] * 3
    assert [row["seed"] for row in after] == [after[0]["seed"] + number // 2 for number in range(6)]
    episodes = [episode for log in find_logs(tmp_path / "c", "out") for episode in read_log(log).episodes]
    whole = [episode for episode in episodes if episode.complete]
    acted = [("base", "residual")[int(episode.extra["compared"][0, 0])] for episode in whole]
    assert acted == [row["policy"] for row in after]
    for episode, name in zip(whole, acted, strict=True):
        assert np.array_equal(episode.action, episode.extra["base_action"]) == (name == "base")


def test_chunks_computed_in_the_background_are_audited_as_they_came(robo_rl, run_folder, tmp_path) -> None:
    out = tmp_path / "ahead"
    code, _, error = robo_rl("deploy", f"run={run_folder}", "chunks=ahead", "episodes=2", *SHORT, f"out={out}")
    assert code == 0, error
    episodes = [episode for log in find_logs(out, "out") for episode in read_log(log).episodes]
    assert all((episode.extra["chunk_from"][-1] >= 0).all() for episode in episodes)
    code, _, error = robo_rl("replay", f"log={out}", "mode=audit", f"run={run_folder}", f"out={tmp_path / 'audit'}")
    assert code == 0, error
    result = json.loads((tmp_path / "audit" / "result.json").read_text())
    assert result["identical"] and "action/seam" in result["signals"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare=best",), ["compare=best: unknown; valid choices: base"]),
        (("compare=base", "use=base"), ["compare=base: is what use=base is"]),
        (("compare=base", "alpha=2.0"), ["alpha=2.0: must lie between 0 and 1"]),
        (("compare=base", "shadow=true"), ["shadow=true: compares nothing"]),
        (("compare=base", "resume=true"), ["resume=true: needs out="]),
        (("compare=base", "resume=true", "out=nowhere"), ["there is no comparison to go on with"]),
        (("resume=true", "out=nowhere"), ["resume=true: goes with compare="]),
    ],
)
def test_a_comparison_that_cannot_be_is_said(robo_rl, run_folder, arguments, words) -> None:
    assert_mistake(robo_rl("deploy", f"run={run_folder}", *arguments), words)


def test_another_comparisons_folder_is_refused(robo_rl, run_folder, tmp_path) -> None:
    Comparison(("base", "residual"), 7, 3, 0.05, tmp_path / FILE).save()
    result = robo_rl("deploy", f"run={run_folder}", "compare=base", "resume=true", f"out={tmp_path}")
    assert_mistake(result, ["has seed=7, not 0"])


def test_one_policy_alone_is_compared_with_nothing(robo_rl, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path)
    bundle = load_bundle(folder)
    bundle.actor = None
    bundle.save(folder / "policy")
    words = ["compare=foo", f"run={folder} holds one policy, base"]
    assert_mistake(robo_rl("deploy", f"run={folder}", "compare=foo"), words)

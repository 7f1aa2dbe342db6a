"""A policy judged by logs, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.bundle import load_bundle
from robo_rl.app.main import main
from tests.app.support import assert_mistake, make_bundle

SHORT = ["task.task.config.limit=0.3", "episodes=2", "n=2"]


def shifted(folder: Path, by: float) -> Path:
    """A run whose policy aims `by` [rad] beside the others'."""
    bundle = load_bundle(make_bundle(folder))
    bundle.network.action.mean += by
    bundle.save(folder / "policy")
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Logs of five policies; none of them succeeds."""
    root, logs = tmp_path_factory.mktemp("others"), []
    for place in range(5):
        run = shifted(root / f"run{place}", 0.02 * (place + 1))
        logs.append(root / f"log{place}")
        assert main(["evaluate", f"run={run}", "use=base", *SHORT, f"seed={place}", f"out={logs[-1]}"]) == 0
    return logs


def judged(robo_rl, folder: Path, *arguments: str) -> tuple[dict, str]:
    code, text, error = robo_rl("evaluate", *arguments, "updates=60", f"out={folder}")
    assert code == 0, error
    found = json.loads((folder / "result.json").read_text())
    assert 0 <= found["ci_low"] <= found["success_rate"] <= found["ci_high"] <= 1
    return found, text


def test_judged_by_comparison_with_policies_that_ran(robo_rl, dataset, others, run_folder, tmp_path):
    logs = f"log=[{','.join(map(str, [dataset, *others]))}]"
    found, text = judged(robo_rl, tmp_path / "e", f"run={run_folder}", "use=base", logs)
    assert found["method"] == "comparison" and found["episodes"] == 13 and found["own_episodes"] == 0
    rows = found["comparison"]["policies"]
    assert [(row["episodes"], row["successes"]) for row in rows] == [(2, 0)] * 5
    assert found["comparison"]["distance"] > 0 and found["comparison"]["worth_episodes"] > 0
    assert found["success_rate"] < 0.3 and "5 policies" in text and "critics alone" in text


def test_its_own_episodes_are_known_by_its_weights(robo_rl, dataset, others, tmp_path):
    run = others[0].with_name("run0")
    logs = f"log=[{','.join(map(str, [dataset, *others]))}]"
    found, text = judged(robo_rl, tmp_path / "e", f"run={run}", "use=base", logs)
    assert found["own_episodes"] == 2 and found["method"] == "critics"  # four others are not enough
    assert found["success_rate"] == found["critics"]["success_rate"] and "fewer than 5" in text
    other, _ = judged(robo_rl, tmp_path / "r", f"run={run}", "use=residual", logs)
    assert other["own_episodes"] == 0 and other["method"] == "comparison"  # its base is one of the five others


def test_says_what_it_cannot_judge(robo_rl, dataset, others, run_folder, tmp_path):
    run, out = f"run={run_folder}", f"out={tmp_path / 'e'}"
    assert_mistake(robo_rl("evaluate", run, f"log={others[1]}", out), ["log=", "no successful episode of another"])
    assert_mistake(robo_rl("evaluate", run, f"log={dataset}", f"against={dataset}", out), ["against=", "run="])
    assert_mistake(robo_rl("evaluate", run, "log=nowhere", out), ["log=nowhere", "no such"])
    assert_mistake(robo_rl("evaluate", out), ["run=", "log=", "both"])
    assert not (tmp_path / "e").exists()

"""What a training run promotes: the learned actor, with or without its noise, or the base."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from policies.bundle import load_bundle
from policies.compose import HeldNoise
from robo_rl.app import promote
from robo_rl.learn.online import OnlineConfig, Progress


@pytest.mark.parametrize(
    ("greedy", "noisy", "base", "promoted", "dithered", "success"),
    [
        (0.9, 0.92, 0.6, "residual", False, 0.9),  # within the gap: deterministic
        (0.6, 0.9, 0.6, "residual", True, 0.9),
        (0.5, 0.6, 0.7, "base", False, 0.7),
    ],
)
def test_the_better_way_of_deploying_it(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, greedy: float, noisy: float, base: float,
    promoted: str, dithered: bool, success: float,
) -> None:  # fmt: skip
    bundle = load_bundle(run_folder)
    rates = iter([greedy, greedy, noisy, base])
    monkeypatch.setattr(promote, "score", lambda *_: next(rates))
    progress = Progress(segment=1, best_segment=0, history=[{"success": greedy}])
    training: Any = SimpleNamespace(progress=progress, config=OnlineConfig())
    context: Any = SimpleNamespace(out=tmp_path, task="t", seed=0)
    noise = HeldNoise(bundle.act_spec.size, 0.2)
    result = promote.finish(context, bundle, training, None, noise, bundle.actor)  # type: ignore[arg-type]
    assert (result["promoted"], result["dithered"], result["success_rate"]) == (promoted, dithered, success)
    assert result["dither_gap"] == pytest.approx(noisy - greedy)
    saved = load_bundle(tmp_path / "policy").dither
    assert (saved is not None) is dithered and (saved is None or (saved.kind, saved.std) == ("held", 0.2))
    assert load_bundle(tmp_path / "policy_raw").dither is None

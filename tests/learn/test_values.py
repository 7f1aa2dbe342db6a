"""Learners' configurations refuse numbers that nothing could be learned with, by the key that the user typed."""

from __future__ import annotations

from typing import Any

import pytest

from robo_rl.errors import UserError
from robo_rl.learn.actor_critic import ActorCriticConfig
from robo_rl.learn.bc import BCConfig
from robo_rl.learn.expo import EXPOConfig
from robo_rl.learn.ibrl import IBRLConfig
from robo_rl.learn.online import OnlineConfig
from robo_rl.learn.qchunk import QChunkConfig
from robo_rl.learn.residual import ResidualConfig
from robo_rl.learn.rlpd import RLPDConfig
from robo_rl.learn.sac import SACConfig
from robo_rl.learn.td3 import TD3Config

ALGORITHMS = (ResidualConfig, SACConfig, TD3Config, RLPDConfig, EXPOConfig, IBRLConfig, QChunkConfig)
SHARED = [
    ("gamma", 0), ("gamma", 1.1), ("n_step", 0), ("actions", 0), ("actor_every", 0), ("critic_lr", -1),
    ("actor_lr", -1), ("eyes_lr", -1), ("tau", 0), ("tau", 2), ("clip", 0), ("actor_clip", -1), ("shift", -1),
    ("value_low", 2),
]  # fmt: skip
CONFIG = [
    *[(ActorCriticConfig, name, value) for name, value in SHARED],
    *[(algorithm, "n_step", 0) for algorithm in ALGORITHMS],
    (BCConfig, "updates", 0), (BCConfig, "updates", -5), (BCConfig, "batch", 0), (BCConfig, "lr", -1),
    (BCConfig, "weight_decay", -1), (BCConfig, "noise", -1), (BCConfig, "shift", -1),
    (ResidualConfig, "spread", -1), (ResidualConfig, "penalty", -1), (ResidualConfig, "smoothness", -1),
    (ResidualConfig, "movement", 0), (ResidualConfig, "average", 1), (ResidualConfig, "ramp", -1),
    (ResidualConfig, "target_noise", -1), (ResidualConfig, "actor_lr_end", -1),
    (SACConfig, "temperature", 0), (RLPDConfig, "temperature_lr", -1), (IBRLConfig, "target_clip", -1),
    (QChunkConfig, "samples", 0),
]  # fmt: skip
ONLINE = [
    ("steps", 0), ("segment", 0), ("utd", 0), ("utd", -1), ("batch", 0), ("warmup_episodes", 0),
    ("warmup_outcomes", -1), ("warmup_demo_share", 2), ("warmup_updates", -1), ("warmup_rounds", -1),
    ("imitation_updates", -1), ("held_out_episodes", 0), ("demo_share", -1), ("demo_share_end", 2), ("demo_decay", 0),
    ("progressive", -1), ("noise_end", -1), ("select_episodes", 0), ("confirm_episodes", 0), ("steps", None),
]  # fmt: skip


@pytest.mark.parametrize(("config", "name", "value"), CONFIG)
def test_an_algorithms_numbers(config: type, name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^learner\.config\.{name}={value}: expected "):
        config(**{name: value})


@pytest.mark.parametrize(("name", "value"), ONLINE)
def test_a_runs_numbers(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"^learner\.online\.{name}=.*: expected "):
        OnlineConfig(**{name: value})

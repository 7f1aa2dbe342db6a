"""The episode of datasets is the episode of logs."""

from __future__ import annotations

from robo_rl.log.episode import Episode as Episode

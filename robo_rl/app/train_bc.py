"""`robo-rl train learner=bc`: clone a chunked base policy from demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policies.bundle import BASES, Bundle
from policies.networks import Inputs, Normalise, like_pairs
from policies.vision import Eyes
from robo_rl.app.context import (
    Context,
    packed_observations,
    require_successes,
    stopwatch,
)
from robo_rl.app.runs import write_json, write_spec
from robo_rl.app.train_online import read_checkpoint, write_checkpoint
from robo_rl.data.dataset import Dataset, load_dataset
from robo_rl.data.episode import Episode
from robo_rl.errors import UnknownName, UserError
from robo_rl.evaluate.outcomes import Outcomes, evaluate
from robo_rl.learn.bc import BCConfig, BehaviourCloning, ChunkDataset
from robo_rl.seeds import Role, seed_of

SETPOINT = "applied"  # key of a rig's last setpoint
OPEN_LOOP = 0.3  # [s], the longest a chunk may be executed without looking


def train(
    context: Context,
    policy: Mapping[str, Any],
    config: BCConfig,
    checkpoints: int,
    episodes: int,
    failures: bool,
    rows: int,
) -> dict[str, Any]:
    """Train, evaluate `checkpoints` times on selection seeds, save the best as a bundle; returns the result."""
    elapsed = stopwatch()
    if not context.dataset:
        raise UserError("dataset=: learner=bc needs a folder of demonstrations (made by robo-rl record)")
    dataset = load_dataset(context.dataset)
    env = context.make_env(min(rows, episodes))
    write_spec(context.out, env)
    chosen = list(dataset.episodes) if failures else require_successes(list(dataset.episodes), context.dataset)
    bundle = new_bundle(context, dataset, chosen, policy)
    bundle.require(env.obs_spec, env.act_spec, f"task={context.task}")
    if policy["execute"] * env.dt > OPEN_LOOP + 1e-9:
        raise UserError(
            f"policy.execute={policy['execute']}: {policy['execute'] * env.dt:.2f} s open loop; at most {OPEN_LOOP} s"
        )
    learner = BehaviourCloning(bundle.network, config, context.seed, context.device)
    eyes = bundle.network.eyes
    frames = ChunkDataset(chosen, bundle.obs_spec, policy["horizon"], () if eyes is None else eyes.keys)
    course = Course(np.random.default_rng(context.seed), Outcomes(env.n), learner.state())
    if context.resume:
        course.load(learner, context.out / "checkpoint")
    before = course.seconds

    def judge(update: int) -> None:
        outcomes = evaluate(env, bundle.policy_for("base"), seed_of(Role.SELECT, context.seed), episodes)
        context.sink.write(update, {"success": _rate(outcomes)})
        if not course.best.rows or _rate(outcomes) > _rate(course.best):
            course.best, course.weights = outcomes, learner.state()
        course.update, course.seconds = update, before + elapsed()
        course.save(learner, context.out / "checkpoint")

    _learn(context, learner, frames, course, max(1, config.updates // checkpoints), judge)
    learner.load(course.weights)
    env.close()
    sizes = {"demonstrations": len(chosen), "frames": len(frames)}
    result = course.best.summary(context.task, str(context.out), context.seed, **sizes)
    result["wall_clock_s"] = before + elapsed()
    bundle.meta |= {"selection_success": result["success_rate"], "env_steps_trained": 0}
    bundle.save(context.out / "policy")
    write_json(context.out / "result.json", result)
    return result


def _learn(
    context: Context, learner: BehaviourCloning, frames: ChunkDataset, course: Course, every: int,
    judge: Callable[[int], None],
) -> None:  # fmt: skip
    """The updates that are left, judged every so many."""
    for update in range(course.update + 1, learner.config.updates + 1):
        if context.interrupted():
            raise KeyboardInterrupt
        metrics = learner.update(frames.sample(learner.config.batch, course.rng))
        if update % 100 == 0:
            context.sink.write(update, {key: float(value) for key, value in metrics.items()})
        if update % every == 0:
            judge(update)


@dataclass
class Course:
    """How far a clone has come; a checkpoint holds this and the learner."""

    rng: np.random.Generator  # draws batches
    best: Outcomes  # evaluation
    weights: dict[str, Any]  # at that evaluation
    update: int = 0
    seconds: float = 0.0

    def save(self, learner: BehaviourCloning, folder: Path) -> None:
        adam = learner.optimiser.state_dict()
        tensors = {f"network.{key}": value for key, value in learner.state().items()}
        tensors |= {f"best.{key}": value for key, value in self.weights.items()}
        tensors |= {f"adam.{i}.{key}": value for i, part in adam["state"].items() for key, value in part.items()}
        tensors["generator"] = learner.generator.get_state()
        write_checkpoint(folder, tensors, {
            "update": self.update, "seconds": self.seconds, "rows": self.best.rows, "took": self.best.wall_clock_s,
            "rng": self.rng.bit_generator.state, "groups": adam["param_groups"],
            "schedule": learner.schedule.state_dict(),
        })  # fmt: skip

    def load(self, learner: BehaviourCloning, folder: Path) -> None:
        """Continue from a checkpoint; a fresh start where none was written yet. Raises `CorruptFile`."""
        with read_checkpoint(folder) as found:
            if found is None:
                return
            part, told = found
            adam: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in part("adam.").items():
                index, _, name = key.partition(".")
                adam.setdefault(int(index), {})[name] = value
            learner.load(part("network."))
            learner.optimiser.load_state_dict({"state": adam, "param_groups": told["groups"]})
            learner.schedule.load_state_dict(told["schedule"])
            learner.generator.set_state(part("generator")[""])
            self.weights, self.rng.bit_generator.state = part("best."), told["rng"]
            self.best.rows, self.best.wall_clock_s = told["rows"], told["took"]
            self.update, self.seconds = told["update"], told["seconds"]


def new_bundle(context: Context, dataset: Dataset, episodes: list[Episode], policy: Mapping[str, Any]) -> Bundle:
    """An untrained base with the demonstrations' normalisation."""
    torch.manual_seed(context.seed)
    packed, scale = (torch.from_numpy(x) for x in packed_observations(episodes, dataset.obs_spec))
    offset = _offset(dataset, policy["relative_to"])
    frames = ChunkDataset(episodes, dataset.obs_spec, policy["horizon"])
    reference = 0.0 if offset is None else frames.obs[:, None, offset : offset + dataset.act_spec.size]
    targets = (frames.chunk - reference).reshape(-1, dataset.act_spec.size)
    if policy["kind"] not in BASES:
        raise UnknownName("policy.kind", policy["kind"], BASES)
    network = BASES[policy["kind"]][0](
        Inputs.fit(packed, scale, like_pairs(dataset.obs_spec)),
        Normalise(torch.from_numpy(targets.mean(0)), torch.from_numpy(np.maximum(targets.std(0), 1e-4))),
        policy["horizon"],
        policy["hidden"],
        relative_to=offset,
        eyes=Eyes.of(dataset.obs_spec, policy.get("cameras", ()), "policy.cameras"),
    )
    meta = {**context.scenario, "seed": context.seed, "dataset": context.dataset}
    return Bundle(dataset.obs_spec, dataset.act_spec, network, policy["execute"], meta=meta, dt=dataset.dt)


def _offset(dataset: Dataset, key: str | None) -> int | None:
    """Where the observation that chunks are relative to begins in the packed vector."""
    spec = dataset.obs_spec
    if key is None or (key == "auto" and SETPOINT not in spec):
        return None
    key = SETPOINT if key == "auto" else key
    fitting = [name for name in spec.vector_keys if spec[name].shape == dataset.act_spec.shape]
    if key not in fitting:
        raise UnknownName("policy.relative_to", key, [*fitting, "auto", "null"])
    before = spec.vector_keys[: spec.vector_keys.index(key)]
    return sum(spec[name].size for name in before)


def _rate(outcomes: Outcomes) -> float:
    return float(np.mean([row["success"] is True for row in outcomes.rows]))

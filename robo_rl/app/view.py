"""`robo-rl view`: a task, a policy or a log in the browser, or as a video."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from robo_rl.app import runs, session
from robo_rl.app.build import make_env, make_expert
from robo_rl.app.states import puppet_of, simulated
from robo_rl.app.video import Film, render
from robo_rl.app.view_scene import Scene, close, serve
from robo_rl.app.view_timeline import Take, Timeline
from robo_rl.cameras import CAMERA
from robo_rl.env import Env
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.log.reader import find_logs, read_log
from robo_rl.loop import run
from robo_rl.policy import Policy
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.types import NO_SEED, Action, Kind, Obs, Reason, Step
from sim.poses import BodyPoses


def implied(given: Mapping[str, Any]) -> dict[str, Any]:
    return runs.remembered_by_log(given) or runs.remembered_by_bundle(given)


def main(config: DictConfig) -> None:
    """Serve the page until Ctrl-C or for `seconds`, or write `out`."""
    if config.run is not None and config.log is not None:
        raise UserError("run=, log=: view shows one of the two")
    source = runs.pick(config, "source", SOURCES)
    target = None if config.out is None else _video_path(str(config.out))
    env = make_env(config.task, config.robot, 1, realtime=target is None and config.log is None)
    try:
        simulated(env)
        if config.log is not None:
            _log(config, env, target)
            return
        policy = source(config, env) if config.run is None else _bundled(config, env)
        if target is None:
            _live(config, env, policy)
        else:
            film = Film(env)
            evaluate(env, policy, seed_of(Role.REPORT, config.seed), config.episodes, (film,))
            film.write(session.camera(config, env), target)
            session.show("view", [("episodes", config.episodes), ("out", target)])
    finally:
        env.close()


def _log(config: DictConfig, env: Env, target: Path | None) -> None:
    """The episodes of logs as they were observed."""
    logs = [read_log(path) for path in find_logs(runs.values(config.log))]
    takes = [(log, episode) for log in logs for episode in log.episodes]
    if not takes:
        raise UserError(f"log={config.log}: holds no episode")
    states = [puppet_of(env, *pair).states(pair[1]) for pair in takes]
    if target is not None:
        render((state for episode in states for state in episode), session.camera(config, env), logs[0].dt, target)
        session.show("view", [("episodes", len(takes)), ("out", target)])
        return
    poses = BodyPoses(simulated(env)[1])
    with session.interruption() as interrupted:
        server, timeline = _page(config, env, logs[0].dt, again=True)
        try:
            for index, ((_, episode), course) in enumerate(zip(takes, states, strict=True)):
                shown, label = [poses(state) for state in course], f"{index}: seed {episode.seed}"
                seen = {name: episode.obs[key] for key, name in _cameras(episode.obs).items()}
                timeline.add(Take(label, shown, _outcome(int(episode.reason[-1])), seen))
            timeline.play(_over(config, interrupted))
        finally:
            close(server)


def _live(config: DictConfig, env: Env, policy: Policy) -> None:
    """Episodes while they run, in real time; the page stays when they are over."""
    with session.interruption() as interrupted:
        server, timeline = _page(config, env, env.dt, again=False)
        over, done = _over(config, interrupted), threading.Event()
        player = threading.Thread(target=timeline.play, args=(done.is_set,), daemon=True)
        player.start()
        try:
            seeds = Seeds(seed_of(Role.REPORT, config.seed), config.episodes)
            run(env, policy, lambda step: step.exhausted or over(), seeds, (_Watch(env, timeline),))
            while not over():
                time.sleep(0.1)
        finally:
            done.set()
            player.join()
            close(server)


def _page(config: DictConfig, env: Env, dt: float, again: bool) -> tuple[Any, Timeline]:
    server = serve(str(config.host), int(config.port), f"robo_rl {config.task.name}")
    scene = Scene(server, simulated(env)[1].model, str(config.task.camera.get("camera", "front")))
    session.note(f"view: http://{config.host}:{config.port} (Ctrl-C ends it)")
    return server, Timeline(server, scene, dt, again)


def _over(config: DictConfig, interrupted: Callable[[], bool]) -> Callable[[], bool]:
    end = time.monotonic() + (float(config.seconds) or float("inf"))
    return lambda: interrupted() or time.monotonic() >= end


class _Watch:
    """Observer that hands the episodes of row 0 to the time line."""

    def __init__(self, env: Env, timeline: Timeline) -> None:
        (self._rig, world), self._timeline = simulated(env), timeline
        self._poses, self._count = BodyPoses(world), 0

    def __call__(self, step: Step, action: Action) -> None:
        if step.seed[0] == NO_SEED or step.kind[0] == Kind.RESET:
            return
        if step.first[0]:
            self._seen: dict[str, list[np.ndarray]] = {name: [] for name in _cameras(step.obs).values()}
            take = Take(f"{self._count}: seed {int(step.seed[0])}", pictures=self._seen)
            self._take = self._timeline.add(take)
            self._count += 1
        for key, name in _cameras(step.obs).items():
            self._seen[name].append(step.obs[key][0])
        self._take.poses.append(self._poses(self._rig.save_state(np.zeros(1, int))[0]))
        if step.last[0]:
            self._take.outcome = Reason(int(step.reason[0])).label


def _cameras(obs: Obs) -> dict[str, str]:
    """Names of the cameras among observations, by key."""
    return {key: key.removeprefix(CAMERA) for key in obs if key.startswith(CAMERA)}


class Hold(Policy):
    """Commands the setpoints that hold already."""

    def reset(self, where: np.ndarray, seeds: np.ndarray) -> None:
        """Nothing to start."""

    def act(self, obs: Obs) -> Action:
        return Action(obs["applied"])


def _scripted(config: DictConfig, env: Env) -> Policy:
    return make_expert(config.task, config.robot, env)


def _hold(config: DictConfig, env: Env) -> Policy:
    return Hold()


def _bundled(config: DictConfig, env: Env) -> Policy:
    bundle = runs.load_policy(config, "view")
    bundle.require(env.obs_spec, env.act_spec, f"robot={config.robot.name} task={config.task.name}")
    return bundle.policy_for(config.use or "")


def _outcome(reason: int) -> str:
    return "cut" if reason == Reason.RUNNING else Reason(reason).label


def _video_path(name: str) -> Path:
    path = Path(name).expanduser()
    if path.suffix != ".mp4":
        raise UserError(f"out={name}: expected a file that ends in .mp4")
    if path.exists():
        raise UserError(f"out={name}: exists; choose another file or remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.unlink()
    except OSError as error:
        raise UserError(f"out={name}: cannot be written: {error.strerror}") from error
    return path


SOURCES = {"scripted": _scripted, "hold": _hold}

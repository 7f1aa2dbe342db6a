"""`robo-rl view`: the page in a browser, its time line, meshes, and videos."""

from __future__ import annotations

import dataclasses
import itertools
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import mujoco
import numpy as np
import pytest

from robo_rl.app import view_scene
from robo_rl.app.build import make_env
from robo_rl.app.compose import choices, compose
from robo_rl.app.states import puppet_of
from robo_rl.app.view_timeline import Take, Timeline
from robo_rl.errors import MissingExtra
from robo_rl.log.reader import find_logs, read_log
from robo_rl.seeds import Seeds
from sim.poses import BodyPoses, Slider, pose_sink
from tests.app.support import assert_mistake, chromium

SMALL = ["task.camera.width=160", "task.camera.height=120"]
FRAMES = "new Promise(done => { let n = 4; const next = () => n-- ? requestAnimationFrame(next) : done(); next() })"
WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def drawer(tmp_path_factory) -> Path:
    """Two episodes of a drawer that is pulled open."""
    from robo_rl.app.main import main

    out = tmp_path_factory.mktemp("drawer") / "data"
    assert main(["record", "task=so101/open_drawer", "episodes=2", f"out={out}"]) == 0
    return out


@pytest.fixture
def served(drawer) -> Iterator[str]:
    """Address of `robo-rl view log=...`; Ctrl-C ends it well."""
    port = free_port()
    command = [sys.executable, "-m", "robo_rl.app.main", "view", f"log={drawer}", f"port={port}", "seconds=900"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"http://127.0.0.1:{port}" in line, line + process.stderr.read()
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout is not None and process.stdout.read() == ""
    finally:
        process.kill()


def test_the_page_shows_the_robot_moving_and_its_time_line_works(served: str, drawer: Path) -> None:
    asked: list[str] = []
    lengths = [(len(episode) - 1) / 30 for path in find_logs(drawer) for episode in read_log(path).episodes]  # [s]
    assert len(set(lengths)) == 2
    with chromium(*WEBGL) as browser:
        page = browser.new_page(viewport={"width": 640, "height": 480})
        page.on("request", lambda request: asked.append(request.url))
        page.set_default_timeout(180_000)  # [ms]: drawn without a graphics card, on a machine that may be busy
        page.on("websocket", lambda channel: asked.append(channel.url))
        page.goto(served)
        page.get_by_role("button", name="pause").click()
        page.get_by_role("button", name="play").wait_for()
        ticks = page.locator("input[type=text]").first

        def choose(episode: int) -> None:
            page.locator("input[value*=': seed ']").first.click()
            page.get_by_role("option", name=re.compile(f"^{episode}: seed")).click()
            page.locator(f"input[value*=' s of {lengths[episode]:.2f} s']").wait_for()

        def picture(tick: int) -> np.ndarray:
            """What stands left of the controls once the page has drawn the tick and nothing moves any more."""
            ticks.fill(str(tick))
            ticks.press("Enter")
            page.locator(f"input[value^='{tick / 30:.2f} s of']").wait_for()
            page.evaluate(FRAMES)
            shots = (_shot(page) for _ in range(40))
            return next(b for a, b in itertools.pairwise(shots) if np.array_equal(a, b))

        choose(1), choose(0)  # it may have played on to either before it was paused
        begun, pulled, again = picture(0), picture(60), picture(0)
        assert _changed(begun, pulled) > 0.02 and _changed(begun, again) < 0.005
        choose(1)
        page.get_by_role("button", name="play").click()
        page.wait_for_function("Number(document.querySelector('input[type=text]').value) > 5")
    assert len(asked) > 1 and all(re.match(r"(http|ws|blob:http)://127\.0\.0\.1:|data:", url) for url in asked)


def _shot(page: Any) -> np.ndarray:
    """Left of the controls, below what the page has to say about machines without a graphics card."""
    shot = page.screenshot(clip={"x": 0, "y": 180, "width": 300, "height": 300})
    return cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)


def _changed(one: np.ndarray, other: np.ndarray) -> float:
    """Share of squares of 10 x 10 pixels that differ: the page draws at fewer pixels when it is slow, so edges move."""
    coarse = [cv2.resize(shot, (30, 30), interpolation=cv2.INTER_AREA).astype(int) for shot in (one, other)]
    return float((np.abs(coarse[0] - coarse[1]).max(axis=2) > 30).mean())


@pytest.fixture
def timeline() -> Iterator[Callable[..., Timeline]]:
    """timeline(again): on a real server, with a scene that remembers what it was shown."""
    server = view_scene.serve("127.0.0.1", free_port(), "test")
    scene: Any = SimpleNamespace(show=lambda poses: scene.shown.append(float(poses[0, 0])), shown=[])
    yield lambda again: Timeline(server, scene, 0.1, again)
    view_scene.close(server)


def take(name: str, first: int, ticks: int, outcome: str = "success") -> Take:
    return Take(name, [np.full((1, 7), first + tick, np.float32) for tick in range(ticks)], outcome)


def shown(timeline: Timeline) -> list[float]:
    return timeline._scene.shown  # type: ignore[attr-defined]


BY_HAND: Any = SimpleNamespace(client=object())


def test_takes_follow_one_another_and_begin_anew(timeline) -> None:
    line = timeline(again=True)
    line.turn(1.0)
    line.add(take("a", 0, 3)), line.add(take("b", 10, 2))
    for _ in range(8):
        line.turn(0.1)
    assert shown(line) == [1, 2, 10, 11, 0, 1, 2, 10]


def test_what_cameras_saw_is_beside_it(timeline) -> None:
    line = timeline(again=True)
    seen = [np.full((8, 8, 3), 20 * tick, np.uint8) for tick in range(3)]
    line.add(dataclasses.replace(take("a", 0, 3), pictures={"front": seen})), line.add(take("b", 10, 2))
    for tick in (0, 1):
        line.turn(0.1 * tick)
        assert line._images["front"].visible and np.asarray(line._images["front"].image).max() == 20 * tick
    for _ in range(3):
        line.turn(0.1)
    assert shown(line)[-1] >= 10 and not line._images["front"].visible


def test_a_take_that_runs_is_waited_for(timeline) -> None:
    line = timeline(again=False)
    running = line.add(take("a", 0, 1, "running"))
    for _ in range(3):
        line.turn(0.1)
    assert shown(line) == [0]
    running.poses += take("a", 1, 2).poses
    for _ in range(4):
        line.turn(0.1)
    running.outcome = "failure"
    line.turn(0.1), line.turn(0.1)
    assert shown(line) == [0, 1, 2]
    line.add(take("b", 10, 1))
    line.turn(0.1), line.turn(0.1)
    assert shown(line)[-1] == 10


def test_controls(timeline) -> None:
    line = timeline(again=True)
    line.add(take("a", 0, 100)), line.add(take("b", 1000, 100))
    line._speed.value = "2x"
    line.turn(0.5)
    assert shown(line)[-1] == 10 and line._slider.value == 10 and line._slider.max == 99
    line._pause()
    line.turn(0.5)
    assert shown(line)[-1] == 10 and line._button.label == "play"
    line._slider.value = 42
    line._seek(BY_HAND)
    line.turn(0.5)
    assert shown(line)[-1] == 42
    line._episode.value = "b"
    line._choose(BY_HAND)
    line._pause()
    line.turn(0.1)
    assert shown(line)[-1] == 1002 and "success" in line._text.value


@pytest.mark.parametrize("task", [name for name in choices("task") if "/" in name])
def test_meshes_fill_the_geoms(task: str) -> None:
    config = compose("record", [f"task={task}"])
    env = make_env(config.task, config.robot, 1, nthread=1)
    model = env.rig.world.model  # type: ignore[attr-defined]
    kinds = set()
    for geom in range(model.ngeom):
        found = view_scene.mesh(model, geom)
        if found is None or model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE:
            continue
        vertices, faces = found
        centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
        assert np.abs(vertices.min(0) - (centre - half)).max() < 0.05 * half.max()
        assert np.abs(vertices.max(0) - (centre + half)).max() < 0.05 * half.max()
        assert faces.min() == 0 and faces.max() == len(vertices) - 1
        kinds.add(int(model.geom_type[geom]))
    assert len(kinds) >= 3
    env.close()


def test_a_logged_drawer_moves(drawer: Path) -> None:
    log = read_log(find_logs(drawer)[0])
    config = compose("view", ["task=so101/open_drawer"])
    env = make_env(config.task, config.robot, 1)
    world, episode = env.rig.world, log.episodes[0]  # type: ignore[attr-defined]
    puppet, poses = puppet_of(env, log, episode), BodyPoses(world)
    moved = np.array([poses(state) for state in puppet.states(episode)])
    for body in ("cabinet", "drawer"):
        seen = episode.obs[f"{body}_pose"][:, :3]  # by the tracker, 1 mm off an axis
        assert np.abs(moved[:, world.model.body(body).id, :3] - seen).max() < 0.006
    assert puppet.shown == ["cabinet_pose", "drawer_pose"]
    assert np.ptp(moved[:, world.model.body("drawer").id, 0]) > 0.04
    env.close()


def test_a_drawer_follows_its_pose() -> None:
    config = compose("view", ["task=so101/open_drawer"])
    env = make_env(config.task, config.robot, 4)
    env.reset(np.ones(4, bool), Seeds(0))
    slider = Slider(env.rig.world, "drawer")  # type: ignore[attr-defined]
    slider.travel[:] = [0.0, 0.02, 0.07, 0.05]
    position, quaternion = slider.pose()
    slider.travel[:] = 0.03
    move = pose_sink(env.rig.world, "drawer")  # type: ignore[attr-defined]
    move(position + [[0.0, 0.0, 0.001]], quaternion)  # off the rail
    np.testing.assert_allclose(slider.travel, [0.0, 0.02, 0.07, 0.05], atol=1e-9)
    move(position + [[0.0, 0.0, 9.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], quaternion)
    assert slider.travel.min() >= 0.0 and slider.travel.max() <= 0.07  # not past the joint's range
    env.close()


@pytest.mark.parametrize("who", ["source=scripted", "source=hold", "run", "log"])
def test_a_video_where_there_is_no_browser(robo_rl, run_folder, tmp_path, who: str) -> None:
    short = ["task.task.config.limit=0.4", "episodes=2"]
    if who == "log":
        assert robo_rl("record", "task=so101/stack", *short, f"out={tmp_path / 'log'}")[0] == 0
    what = {"run": [f"run={run_folder}"], "log": [f"log={tmp_path / 'log'}"]}.get(who, ["task=so101/lift", who])
    code, _, error = robo_rl("view", *what, *short, *SMALL, f"out={tmp_path / 'v' / 'view.mp4'}")
    assert code == 0, error
    video = cv2.VideoCapture(str(tmp_path / "v" / "view.mp4"))
    frames = [video.read()[1] for _ in range(int(video.get(cv2.CAP_PROP_FRAME_COUNT)))]
    video.release()
    assert len(frames) == 2 * 13 and frames[0].shape == (120, 160, 3)
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["view.mp4"]
    if who != "source=hold":
        assert np.abs(frames[0].astype(int) - frames[10]).max() > 30


def test_a_live_page_ends_when_it_should(robo_rl) -> None:
    code, text, error = robo_rl("view", "task=so101/lift", f"port={free_port()}", "seconds=1.0", "episodes=1")
    assert code == 0 and "http://127.0.0.1:" in error and text == ""


def test_mistakes(robo_rl, run_folder, dataset, tmp_path) -> None:
    assert_mistake(robo_rl("view", f"run={run_folder}", f"log={dataset}"), ["run=", "log=", "one of the two"])
    assert_mistake(robo_rl("view", "out=video.avi"), ["out=video.avi", ".mp4"])
    assert_mistake(robo_rl("view", "source=dance"), ["source=dance", "hold", "scripted"])
    assert_mistake(robo_rl("view", "task=gym", "env_id=Pendulum-v1"), ["robot=", "no simulated world"])
    (tmp_path / "there.mp4").write_text("precious")
    assert_mistake(robo_rl("view", f"out={tmp_path / 'there.mp4'}"), ["there.mp4", "exists"])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_mistake(robo_rl("view", f"port={port}"), [f"port={port}", "choose another port"])


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'robo-rl[view]'")):
        view_scene.serve("127.0.0.1", free_port(), "test")

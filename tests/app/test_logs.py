"""What comes out of finished logs: recovered copies, evaluations and comparisons, videos, reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from robo_rl.log.reader import find_logs, read_log
from tests.app.support import assert_mistake


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def test_recover_a_cut_log(robo_rl, dataset, tmp_path):
    logs = find_logs(dataset)
    cut = tmp_path / "cut" / logs[0].name
    cut.parent.mkdir()
    cut.write_bytes(logs[0].read_bytes()[:-3000])
    code, _, error = robo_rl("recover", f"log=[{cut},{logs[0]}]", f"out={tmp_path / 'r'}")
    assert code == 0, error
    found = result(tmp_path / "r")
    assert found["logs"] == 2 and [file["truncated"] for file in found["files"]] == [True, False]
    copies = find_logs(tmp_path / "r")
    assert [copy.name for copy in copies] == [logs[0].stem + "-2.mcap", logs[0].name]
    assert not any(read_log(copy).truncated for copy in copies)
    assert found["messages"] > 0 and found["files"][1]["episodes"] == 1


def test_recover_says_what_it_cannot_do(robo_rl, tmp_path):
    (tmp_path / "text.mcap").write_text("no log")
    assert_mistake(robo_rl("recover"), ["log=", "needs"])
    assert_mistake(robo_rl("recover", f"log={tmp_path}", f"out={tmp_path / 'r'}"), ["text.mcap", "not an MCAP file"])


@pytest.fixture
def some_unreadable(dataset, tmp_path) -> tuple[str, Path]:
    """A list of a readable and of two unreadable logs, and the folder of these."""
    folder = tmp_path / "unreadable"
    folder.mkdir()
    (folder / "empty.mcap").write_bytes(b"")
    (folder / "text.mcap").write_text("no log")
    return f"[{find_logs(dataset)[0]},{folder}]", folder


@pytest.mark.parametrize(("command", "key"), [("recover", "log"), ("evaluate", "log"), ("report", "inputs")])
def test_what_cannot_be_read_is_left_out(robo_rl, some_unreadable, tmp_path, command: str, key: str):
    both, unreadable = some_unreadable
    out = tmp_path / "out"
    assert_mistake(robo_rl(command, f"{key}={unreadable}", f"out={out}"), ["empty.mcap"])
    assert not out.exists()
    code, _, error = robo_rl(command, f"{key}={both}", f"out={out}")
    assert code == 0, error
    found = result(out)
    assert [Path(log["log"]).name for log in found["left_out"]] == ["empty.mcap", "text.mcap"]
    assert all(f"left out: {log['why']}" in error for log in found["left_out"])
    assert found.get("episodes", 1) == 1 and len(found.get("inputs", [""])) == 1
    if command == "report":
        assert "<h2>Left out</h2>" in (out / "report.html").read_text()


def test_a_log_without_a_complete_episode_is_no_evaluation(robo_rl, dataset, tmp_path):
    cut = tmp_path / "cut.mcap"
    whole = find_logs(dataset)[0].read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    words = [f"log={cut}", "holds no complete episode"]
    assert_mistake(robo_rl("evaluate", f"log={cut}", f"out={tmp_path / 'e'}"), words)
    words = [f"against={cut}", "holds no complete episode"]
    assert_mistake(robo_rl("evaluate", f"log={dataset}", f"against={cut}", f"out={tmp_path / 'e'}"), words)
    assert not (tmp_path / "e").exists()


def test_evaluate_compares_two_logs(robo_rl, dataset, tmp_path):
    arguments = [f"log={dataset}", f"against={dataset}", f"out={tmp_path / 'e'}"]
    code, text, error = robo_rl("evaluate", *arguments)
    assert code == 0, error
    found = result(tmp_path / "e")
    assert found["comparison"]["paired"] and found["comparison"]["difference"]["mean"] == 0
    assert found["against"]["rows"] == found["rows"] and found["tracking"].keys() >= {"shoulder_pan", "gripper"}
    assert found["time_to_success_s"] > 0 and found["smoothness"] < 0 and found["observation_age"]
    assert "paired by seed" in text and "tracking error" in text
    assert_mistake(robo_rl("evaluate", "run=x", f"against={dataset}"), ["against=", "log="])
    assert_mistake(robo_rl("evaluate", f"log={dataset}", "against=nowhere"), ["against=nowhere", "no such"])


def test_a_deployment_logs_its_cadence(robo_rl, run_folder, tmp_path):
    out, arguments = tmp_path / "d", ["episodes=1", "task.task.config.limit=0.5"]
    assert robo_rl("deploy", f"run={run_folder}", *arguments, f"out={out}")[0] == 0
    log = read_log(find_logs(out)[0])
    assert {"late", "misses"} <= log.timing.keys() and (log.timing["late"] >= 0).all()
    assert len(log.meta["weights_sha256"]) == 64 and not log.truncated
    assert robo_rl("evaluate", f"log={out}", f"out={tmp_path / 'e'}")[0] == 0
    cadence = result(tmp_path / "e")["cadence"]
    assert cadence["realtime"] and cadence["wake_max_us"] >= cadence["wake_p50_us"] > 0


def test_replay_shows_states(robo_rl, tmp_path):
    assert robo_rl("record", "episodes=1", "task.task.config.limit=0.4", f"out={tmp_path / 'd'}")[0] == 0
    log = find_logs(tmp_path / "d")[0]
    code, _, error = robo_rl("replay", f"log={log}", "mode=states", "task.camera.width=160", "task.camera.height=120",
                             f"out={tmp_path / 'r'}")  # fmt: skip
    assert code == 0, error
    assert "1/1 episodes" in error
    found, video = result(tmp_path / "r"), cv2.VideoCapture(str(tmp_path / "r" / "video.mp4"))
    frames = [video.read()[1] for _ in range(int(video.get(cv2.CAP_PROP_FRAME_COUNT)))]
    video.release()
    assert len(frames) == found["ticks"] == sum(len(e) for e in read_log(log).episodes)
    assert found["objects"] and np.abs(frames[0].astype(int) - frames[-1]).max() > 30  # something moved


def test_replay_shows_two_logs_side_by_side(robo_rl, tmp_path):
    short = ["episodes=1", "n=1", "task.task.config.limit=0.3"]
    assert robo_rl("record", *short, f"out={tmp_path / 'one'}")[0] == 0
    assert robo_rl("record", *short, "noise=0.2", f"out={tmp_path / 'two'}")[0] == 0
    view = ["task.camera.width=160", "task.camera.height=120", "align=end"]
    log = ["mode=states", f"log={tmp_path / 'one'}"]
    code, _, error = robo_rl("replay", *log, f"beside={tmp_path / 'two'}", *view, f"out={tmp_path / 'r'}")
    assert code == 0, error
    video, frames = cv2.VideoCapture(str(tmp_path / "r" / "video.mp4")), []
    while (read := video.read())[0]:
        frames.append(read[1].astype(int))
    assert len(frames) == result(tmp_path / "r")["ticks"] and result(tmp_path / "r")["pairs"] == 1
    assert frames[0].shape == (120, 320, 3)
    assert np.abs(frames[-1][:, :160] - frames[-1][:, 160:]).max() > 30  # the shaken arm is elsewhere
    assert_mistake(robo_rl("replay", *log, "beside=nowhere"), ["beside=nowhere", "no such"])


def test_replay_writes_errors_over_time(robo_rl, dataset, run_folder, tmp_path):
    code, _, error = robo_rl("replay", f"log={dataset}", "mode=audit", f"run={run_folder}", f"out={tmp_path / 'r'}")
    assert code == 0, error
    found = json.loads((tmp_path / "r" / "errors.json").read_text())
    worst = result(tmp_path / "r")["signals"]["action/commanded"]["max_abs_error"]
    longest = max(len(episode) for path in find_logs(dataset) for episode in read_log(path).episodes)
    assert max(found["max_abs_error"]["action/commanded"]) == pytest.approx(worst)
    assert len(found["max_abs_error"]["action/commanded"]) == longest


@pytest.fixture(scope="module")
def report(dataset, tmp_path_factory) -> Path:
    """A report of a dataset, of another one with a camera and a video, and of a training run's metrics."""
    from robo_rl.app.main import main

    runs, out = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("report") / "out"
    short = ["episodes=2", "task.task.config.limit=0.5", "task.rig.cameras=[front]"]
    assert main(["record", *short, f"out={runs / 'short'}"]) == 0
    _film(runs / "short" / "video.mp4", 40)
    (runs / "train").mkdir()
    lines = [{"step": step, "success_rate": step / 1000, "critic_loss": 1 / (1 + step)} for step in range(0, 900, 100)]
    (runs / "train" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["report", f"inputs=[{dataset},{runs}]", "episodes=3", f"out={out}"]) == 0
    return out


def _film(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 6 * index, np.uint8))
    writer.release()


def test_report_says_everything_in_one_file(report):
    html, found = (report / "report.html").read_text(), result(report)
    for section in ("Success", "Learning", "Differences", "Tracking", "Configuration differences", "Episodes"):
        assert f"<h2>{section}</h2>" in html
    assert "data:video/webm;base64," in html and "task.task.config.limit" in html
    assert len(list((report / "plots").glob("*.png"))) == found["plots"] == found["pictures"] > 20
    assert found["episodes"] == 3 and found["pairs"] == 2 and found["bytes"] == len(html.encode())
    assert html.count("<video") == 3  # the run's, and what the camera saw in both episodes


def test_the_success_table_has_a_heading_for_every_cell(report):
    rows = (report / "report.html").read_text().partition("<h2>Success</h2>")[2].split("<tr>")
    assert rows[1].count("<th>") == rows[2].count("<td>") == 9


def test_report_needs_something_to_report(robo_rl, tmp_path):
    assert_mistake(robo_rl("report"), ["inputs=", "needs"])
    assert_mistake(robo_rl("report", "inputs=[]"), ["inputs=", "needs"])
    assert_mistake(robo_rl("report", f"inputs={tmp_path}", "align=noon"), ["align=noon", "end, motion, start"])
    assert_mistake(robo_rl("report", "inputs=nowhere"), ["inputs=nowhere", "no run folder"])


@pytest.fixture
def browser_page():
    """A page of a headless Chromium, where one is installed."""
    driver = pytest.importorskip("playwright.sync_api")
    place = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with driver.sync_playwright() as play:
        try:
            browser = play.chromium.launch(executable_path=place, args=["--no-sandbox"])
        except driver.Error:
            pytest.skip("no Chromium here")
        yield browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        browser.close()


def test_report_in_a_browser(report, browser_page):
    wrong, requests = [], []
    browser_page.on("console", lambda message: wrong.append(message.text))
    browser_page.on("pageerror", lambda error: wrong.append(str(error)))
    browser_page.on("request", lambda request: requests.append(request.url))
    browser_page.goto((report / "report.html").as_uri())
    assert browser_page.evaluate("document.documentElement.scrollWidth") <= 390  # a phone needs no sideways scrolling
    assert browser_page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 31)"
    browser_page.emulate_media(color_scheme="light")
    assert browser_page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    drawn = browser_page.evaluate("[...document.querySelectorAll('svg.plot polyline')].map(l => l.points.length)")
    assert len(drawn) > 50 and min(drawn) > 1
    for episode in range(5):
        browser_page.select_option("#episode", str(episode))
        assert browser_page.locator(".episode:visible").count() == 1
    name = browser_page.locator("option", has_text="short").first.get_attribute("value")
    browser_page.select_option("#episode", name)
    browser_page.evaluate("document.querySelector('video').play()")
    for _ in range(300):  # the page's policy forbids eval, which wait_for_function polls with
        if browser_page.evaluate("document.querySelector('video').currentTime") > 0.05:
            break
        browser_page.wait_for_timeout(100)
    assert browser_page.evaluate("document.querySelector('video').currentTime") > 0.05
    browser_page.evaluate("document.querySelector('video').pause()")
    shown = browser_page.locator(".episode:visible svg.plot")
    shown.nth(1).hover()
    assert browser_page.locator(".episode:visible .cursor").count() == shown.count()
    places = browser_page.evaluate(
        "[...document.querySelectorAll('.episode:not([hidden]) .cursor')].map(c => c.x1.baseVal.value)"
    )
    assert len(set(places)) == 1
    assert wrong == [] and all(url.startswith(("file:", "data:", "blob:")) for url in requests)

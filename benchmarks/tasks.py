"""`python -m benchmarks.tasks [episodes=100] [demonstrations=50] [task=NAME]`: the table of tasks in docs/tasks.md.

For every bundled task: a picture of the expert, and the success of the expert, of setpoints drawn at random and of a
policy cloned from demonstrations; `RECIPES` says where a clone takes more than the command line's defaults. A step
whose result exists is skipped, so the command can be repeated until it is done; with `task=` other rows stay as they
are. Writes benchmarks/tasks.json, docs/tasks/*.jpg and the table; what it ran lies in build/tasks/.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.command import number, require_used, step
from benchmarks.uniform import Uniform
from robo_rl.app.build import make_camera, make_env, make_expert
from robo_rl.app.compose import choices, compose
from robo_rl.app.rendering import choose_backend
from robo_rl.app.runs import write_json
from robo_rl.errors import UnknownName, UserError
from robo_rl.evaluate.outcomes import evaluate
from robo_rl.seeds import Role, seed_of
from robo_rl.types import Action, Step

ROOT, DOCS, RESULTS = Path("build/tasks"), Path("docs"), Path("benchmarks/tasks.json")
BEGIN, END = "<!-- made by python -m benchmarks.tasks -->", "<!-- end of the table -->"
MOMENTS = (0.0, 0.4, 0.7, 1.0)  # of the pictured episode
FRAME = (240, 180)  # width, height [px]
ROWS = 50  # episodes at a time


@dataclass(frozen=True)
class Recipe:
    """How a task's clone is trained: number of demonstrations, and keys of `robo-rl train learner=bc`."""

    demonstrations: int
    train: tuple[str, ...] = ()


RECIPES = {"go2/joystick": Recipe(200, ("learner.config.updates=8000", "policy.execute=4"))}


def names() -> list[str]:
    """Bundled tasks: those that name a robot's world and an expert."""
    return [name for name in choices("task") if "/" in name]


def slug(task: str) -> str:
    """The task's name, fit for a file."""
    return task.replace("/", "_")


def picture(task: str) -> Path:
    """Where the task's picture lies, beside the page."""
    return Path("tasks", f"{slug(task)}.jpg")


def measure(task: str, episodes: int, recipe: Recipe) -> dict[str, Any]:
    """One row of the table."""
    root, on = ROOT / slug(task), f"task={task}"
    limits = (f"n={ROWS}", "task.rig.nthread=1")
    expert = step(root / "expert", "record", on, f"episodes={episodes}", "seed=1", *limits)
    step(root / "dataset", "record", on, f"episodes={recipe.demonstrations}", *limits)
    step(root / "clone", "train", "learner=bc", on, f"dataset={root / 'dataset'}", "threads=1", *recipe.train)
    clone = step(root / "evaluate", "evaluate", f"run={root / 'clone'}", f"episodes={episodes}", "record=false")
    random = random_policy(task, root / "random.json", episodes)
    results = {"expert": expert, "random": random, "clone": clone}
    keys = ("success_rate", "ci_low", "ci_high", "episodes", "episode_length_mean")
    made = {"demonstrations": recipe.demonstrations, "train": list(recipe.train), "machine": expert["machine"]}
    return {"task": task} | made | {name: {key: result[key] for key in keys} for name, result in results.items()}


def random_policy(task: str, path: Path, episodes: int) -> dict[str, Any]:
    """Success of uniform setpoints on the report's seeds."""
    if not path.exists():
        config = compose("evaluate", [f"task={task}"])
        env = make_env(config.task, config.robot, min(ROWS, episodes), nthread=1)
        outcomes = evaluate(env, Uniform(env.n, env.act_spec), seed_of(Role.REPORT), episodes)
        env.close()
        write_json(path, outcomes.summary(task, "uniform", 0))
    return json.loads(path.read_text())


def draw(task: str, path: Path) -> None:
    """Moments of one of the expert's episodes, side by side, as a JPEG."""
    config, states = compose("record", [f"task={task}"]), list[np.ndarray]()
    env: Any = make_env(config.task, config.robot, 1, nthread=1)
    camera = make_camera(config.task, config.robot, env)

    def look(step: Step, action: Action) -> None:
        if step.seed[0] >= 0:
            states.append(env.rig.world.save_state([0])[0])

    try:
        evaluate(env, make_expert(config.task, config.robot, env), seed_of(Role.REPORT), 1, (look,))
        chosen = camera.states(np.array([states[round(share * (len(states) - 1))] for share in MOMENTS]))
    finally:
        camera.close()
        env.close()
    frames = [cv2.resize(frame, FRAME, interpolation=cv2.INTER_AREA) for frame in chosen]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.hstack(frames), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown; success with its 95 % interval."""
    lines = ["| task | expert | random | clone | of demonstrations | |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = [f"`{row['task']}`", *(_rate(row[name]) for name in ("expert", "random", "clone"))]
        cells.append(str(row["demonstrations"]))
        lines.append(f"| {' | '.join(cells)} | ![{row['task']}]({picture(row['task'])}) |")
    return "\n".join(lines)


def put(page: Path, text: str) -> None:
    """Replace what is between the page's marks."""
    before, mark, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise UserError(f"{page}: lacks the marks {BEGIN} and {END}")
    fresh = page.with_name(page.name + ".new")
    fresh.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    fresh.replace(page)


def main(arguments: list[str]) -> int:
    keys = {key: value for key, _, value in (argument.partition("=") for argument in arguments)}
    episodes, demonstrations = (int(number(keys, *pair)) for pair in (("episodes", 100), ("demonstrations", 50)))
    chosen = keys.pop("task", None)
    require_used(keys, "episodes", "demonstrations", "task")
    if chosen is not None and chosen not in names():
        raise UnknownName("task", chosen, names())
    choose_backend()
    for task in names() if chosen is None else [chosen]:
        row = measure(task, episodes, RECIPES.get(task, Recipe(demonstrations)))
        draw(task, DOCS / picture(task))
        write(row)
    return 0


def write(row: dict[str, Any]) -> None:
    """Put a row among the results, and the table into the page."""
    found = {old["task"]: old for old in json.loads(RESULTS.read_text())} | {row["task"]: row}
    rows = [found[name] for name in names() if name in found]
    write_json(RESULTS, rows)
    put(DOCS / "tasks.md", table(rows))
    print(table(rows), flush=True)


def _rate(result: dict[str, Any]) -> str:
    return f"{result['success_rate']:.0%} ({result['ci_low']:.0%} to {result['ci_high']:.0%})"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"benchmarks: error: {error}")

"""`robo-rl train` end to end with tiny budgets, and step 0 of a residual on the bundled task."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from policies.bundle import load_bundle
from robo_rl.app import runs
from robo_rl.app.build import make_env
from robo_rl.app.compose import compose
from robo_rl.app.main import main
from robo_rl.app.train import implied
from robo_rl.errors import UserError
from robo_rl.evaluate.outcomes import Outcomes, evaluate
from robo_rl.loop import run
from robo_rl.seeds import Role, Seeds, seed_of
from robo_rl.types import Action, Step
from tests.app.support import assert_mistake, make_bundle

TINY_BC = ("learner.config.updates=40", "learner.checkpoints=1", "learner.episodes=4", "learner.rows=4", "threads=1")
TINY = (
    "learner.rows=4", "learner.eval_rows=4", "learner.hidden=[16]", "learner.heads=2", "learner.capacity=20000",
    "learner.online.segment=300", "learner.online.utd=0.05", "learner.online.batch=32",
    "learner.online.warmup_episodes=4", "learner.online.warmup_outcomes=0", "learner.online.warmup_updates=5",
    "learner.online.warmup_rounds=1", "learner.online.held_out_episodes=4", "learner.online.select_episodes=4",
    "learner.online.confirm_episodes=4", "task.task.config.limit=2.0", "threads=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations, a base and a residual, as a user would make them."""
    root = tmp_path_factory.mktemp("runs")
    assert main(["record", "episodes=4", "n=4", f"out={root / 'data'}"]) == 0
    assert main(["train", "learner=bc", f"dataset={root / 'data'}", f"out={root / 'base'}", *TINY_BC]) == 0
    arguments = ["train", f"base={root / 'base'}", "learner.online.steps=1200", "log_fraction=0.5", *TINY]
    assert main([*arguments, f"out={root / 'residual'}"]) == 0
    return root


def test_a_run_folder_holds_what_it_should(trained: Path) -> None:
    run_folder = trained / "residual"
    names = {path.name for path in run_folder.iterdir()}
    expected = {"config.yaml", "spec.json", "metrics.jsonl", "checkpoint", "policy", "policy_raw", "result.json", "log"}
    assert expected <= names
    result = json.loads((run_folder / "result.json").read_text())
    assert result["env_steps_trained"] >= 1200 and result["promoted"] in ("base", "residual")
    assert {"raw_final_success", "noisy_success_rate", "base_success", "steps_to_95", "gate"} <= set(result)
    assert load_bundle(run_folder).meta["env_steps_trained"] == result["env_steps_trained"]


def test_what_was_trained_can_be_evaluated_and_deployed(trained: Path, tmp_path: Path) -> None:
    short = "task.task.config.limit=1.0"
    for use in ("residual", "base"):
        out = tmp_path / f"evaluate-{use}"
        assert main(["evaluate", f"run={trained / 'residual'}", f"use={use}", "episodes=3", short, f"out={out}"]) == 0
        assert len(json.loads((out / "result.json").read_text())["rows"]) == 3
    deploy = tmp_path / "deploy"
    assert main(["deploy", f"run={trained / 'residual'}", "episodes=1", short, f"out={deploy}"]) == 0


def test_a_finished_run_resumes_to_the_same_end(trained: Path) -> None:
    before = json.loads((trained / "residual" / "result.json").read_text())
    arguments = ["train", f"base={trained / 'base'}", "learner.online.steps=1200", "log_fraction=0.5", *TINY]
    assert main([*arguments, f"out={trained / 'residual'}", "resume=true"]) == 0
    after = json.loads((trained / "residual" / "result.json").read_text())
    assert after["history"] == before["history"]


def test_a_finished_clone_is_not_trained_again(trained: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["train", "learner=bc", f"dataset={trained / 'data'}", f"out={trained / 'base'}", *TINY_BC]
    held = {path: path.stat().st_mtime_ns for path in (trained / "base").rglob("*")}
    assert main([*arguments, "resume=true"]) == 0
    assert "this run is finished" in capsys.readouterr().err
    assert held == {path: path.stat().st_mtime_ns for path in (trained / "base").rglob("*")}


def test_an_interrupted_clone_goes_on_bit_for_bit(trained: Path, tmp_path: Path, monkeypatch) -> None:
    arguments = ["train", "learner=bc", f"dataset={trained / 'data'}", *TINY_BC, "learner.checkpoints=2"]
    arguments.remove("learner.checkpoints=1")
    assert main([*arguments, f"out={tmp_path / 'whole'}"]) == 0
    begun, evaluations = tmp_path / "begun", []

    def second_is_too_much(*given: object) -> Outcomes:
        evaluations.append(given)
        if len(evaluations) == 2:
            raise KeyboardInterrupt
        return evaluate(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("robo_rl.app.train_bc.evaluate", second_is_too_much)
    assert main([*arguments, f"out={begun}"]) == 130
    assert not (begun / "result.json").exists()
    assert main([*arguments, f"out={begun}", "resume=true"]) == 0
    assert len(evaluations) == 3  # the first one is not done again
    one, two = (load_bundle(tmp_path / name).network.state_dict() for name in ("whole", "begun"))
    assert all((one[key] == two[key]).all() for key in one)
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "begun")]
    assert results[0]["rows"] == results[1]["rows"]
    lines = [[json.loads(line)["step"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
             for name in ("whole", "begun")]  # fmt: skip
    assert lines[0] == lines[1]


def test_what_keeps_no_checkpoint_cannot_go_on(robo_rl, trained: Path, tmp_path: Path) -> None:
    arguments = ["learner=value", f"base={trained / 'base'}", f"dataset={trained / 'data'}", f"out={tmp_path}"]
    runs.new_folder(compose("train", arguments, implied), "train")
    (tmp_path / "metrics.jsonl").write_text('{"step": 200}\n')
    assert_mistake(robo_rl("train", *arguments, "resume=true"), ["resume=true", "keeps no checkpoint", "another out="])
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 200}\n'


def test_a_run_goes_on_as_it_was_begun(robo_rl, trained: Path, tmp_path: Path) -> None:
    begun = tmp_path / "run"
    shutil.copytree(trained / "residual", begun)
    (begun / "result.json").unlink()
    names = {path.name for path in begun.iterdir()}
    arguments = ["train", f"base={trained / 'base'}", "learner.online.steps=1200", *TINY, f"out={begun}"]
    words = ["learner.scale=0.3", f"out={begun}", "begun with 0.08"]
    assert_mistake(robo_rl(*arguments, "learner.scale=0.3", "resume=true"), words)
    words = ["task.rig.randomise=train", "begun with"]
    assert_mistake(robo_rl(*arguments, "task.rig.randomise=train", "resume=true"), words)
    assert_mistake(robo_rl(*arguments), [f"out={begun}", "earlier run"])  # its checkpoint is not written over
    weights = begun / "checkpoint" / "tensors.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert_mistake(robo_rl(*arguments, "resume=true"), ["resume=true", "checkpoint cannot be read"])
    assert names <= {path.name for path in begun.iterdir()}


def steps_in(run_folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run_folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_goes_on_to_more_steps_and_is_then_one_of_so_many(robo_rl, tmp_path: Path) -> None:
    out, small = tmp_path / "run", [item for item in TINY if not item.startswith("task.")]
    arguments = ["train", "learner=sac", "task=gym", "env_id=Pendulum-v1", *small, f"out={out}"]
    assert main([*arguments, "learner.online.steps=400"]) == 0
    first = (out / "result.json").read_bytes()
    checkpoint = out / "checkpoint" / "tensors.safetensors"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:-10])
    more = [*arguments, "resume=true", "learner.online.steps=2400"]
    assert_mistake(robo_rl(*more), ["resume=true", "checkpoint cannot be read"])
    assert (out / "result.json").read_bytes() == first and "steps: 400" in (out / "config.yaml").read_text()
    checkpoint.write_bytes(whole)
    assert main(more) == 0
    assert json.loads((out / "result.json").read_text())["env_steps_trained"] >= 2400
    assert "steps: 2400" in (out / "config.yaml").read_text()
    held = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert main(more) == 0  # it is finished
    fewer = [*arguments, "resume=true", "learner.online.steps=400"]
    assert_mistake(robo_rl(*fewer), ["learner.online.steps=400", "already", "give more"])
    assert held == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


def test_a_run_that_begins_anew_does_not_inherit_numbers(trained: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "run"
    arguments = ["train", "learner=bc", f"dataset={trained / 'data'}", *TINY_BC, f"out={out}"]
    with monkeypatch.context() as patch:
        patch.setattr("robo_rl.app.train_bc.Course.save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(arguments) == 130
    events = set((out / "tensorboard").iterdir())
    assert steps_in(out) and events
    assert main(arguments) == 0
    assert sorted(set(steps_in(out))) == steps_in(out) and not events & set((out / "tensorboard").iterdir())


def test_what_a_resumed_run_was_begun_with_is_said_as_it_is_typed(robo_rl, trained: Path, tmp_path: Path) -> None:
    begun = tmp_path / "run"
    shutil.copytree(trained / "residual", begun)
    arguments = ["train", f"base={trained / 'base'}", "learner.online.steps=1200", *TINY, f"out={begun}", "resume=true"]
    arguments.remove("task.task.config.limit=2.0")
    assert_mistake(robo_rl(*arguments, "task=so101/lift"), ["task=so101/lift:", "begun with so101/insert_peg"])
    config = (begun / "config.yaml").read_text()
    (begun / "config.yaml").write_text(config.replace("  bootstrap_timeouts: true\n", ""))
    words = ["learner.bootstrap_timeouts=true", "begun without it", "another version"]
    assert_mistake(robo_rl(*arguments, "task.task.config.limit=2.0"), words)


def test_a_mistake_leaves_what_others_wrote_meanwhile(tmp_path: Path) -> None:
    config = compose("report", [f"out={tmp_path / 'shared'}", "inputs=x"])
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "config.yaml").write_text("command: train\nkeep: true\n")
    (tmp_path / "shared" / "report.html").write_text("not of an interrupted report")
    with pytest.raises(UserError), runs.fresh_folder(config, "report", ("report.html", "plots")) as out:
        (out / "theirs").mkdir()
        (out / "plots").mkdir()
        raise UserError("x")
    assert {path.name for path in out.iterdir()} == {"theirs", "config.yaml", "report.html"}
    assert (out / "config.yaml").read_text() == "command: train\nkeep: true\n"


@pytest.mark.parametrize("file", [None, "copy.mcap"])
def test_what_is_worth_keeping_stays_after_a_mistake(tmp_path: Path, file: str | None) -> None:
    config = compose("recover", [f"out={tmp_path / 'new'}", "log=x"])
    with pytest.raises(UserError), runs.fresh_folder(config, "recover", ("log",), keep=("log",)) as out:
        (out / "log").mkdir()
        if file:
            (out / "log" / file).write_text("recovered")
        raise UserError("the disk is full")
    assert (out / "log" / "copy.mcap").exists() == (file is not None) == out.exists()


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-of-that-name/x"])
def test_a_folder_that_cannot_be_is_refused(robo_rl, name: str) -> None:
    assert_mistake(robo_rl("record", "episodes=1", f"out={name}"), ["out=", "no folder can be there"])


def test_a_home_is_understood_where_no_shell_did_that(trained: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(trained))
    arguments = ["train", "base=~/base", "learner.online.steps=600", *TINY]
    assert main([*arguments, f"out={tmp_path / 'run'}"]) == 0


def test_a_mistake_takes_back_only_what_the_run_wrote(robo_rl, trained: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("keep")
    arguments = ["train", "learner=bc", f"dataset={trained / 'data'}", f"out={mine.parent}", *TINY_BC]
    assert_mistake(robo_rl(*arguments, "policy.execute=16"), ["policy.execute=16", "open loop"])
    assert list(mine.parent.iterdir()) == [mine] and mine.read_text() == "keep"
    (mine.parent / "config.yaml").write_text("mine: true\n")
    assert_mistake(robo_rl(*arguments), ["config.yaml that is no run's"])
    assert (mine.parent / "config.yaml").read_text() == "mine: true\n"
    assert_mistake(robo_rl(*arguments[:3], *TINY_BC, f"out={tmp_path / 'new'}", "device=tpu"), ["device=tpu"])
    assert not (tmp_path / "new").exists()


def test_a_base_without_a_policy_is_named(robo_rl, trained: Path, tmp_path: Path) -> None:
    given = f"base={trained / 'data'}"
    assert_mistake(robo_rl("train", given, f"out={tmp_path / 'run'}"), [given, "no policy there"])
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_begin_leaves_nothing(trained: Path, tmp_path: Path) -> None:
    broken = tmp_path / "data"
    shutil.copytree(trained / "data", broken)
    log = next((broken / "log").glob("*.mcap"))
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    assert main(["train", "learner=bc", f"dataset={broken}", f"out={tmp_path / 'base'}", *TINY_BC]) == 2
    assert not (tmp_path / "base").exists()


def test_at_step_0_base_plus_residual_is_the_base_over_100_episodes(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path))
    assert bundle.actor is not None
    config = compose("evaluate", ["task.task.config.limit=2.0"])
    env = make_env(config.task, config.robot, 50)
    seen: dict[str, list[np.ndarray]] = {"residual": [], "base": []}
    for use, actions in seen.items():

        def keep(step: Step, action: Action, actions: list[np.ndarray] = actions) -> None:
            actions.append(action.value.copy())

        run(env, bundle.policy_for(use), lambda s: s.exhausted, Seeds(seed_of(Role.TUNE), 100), [keep])
    env.close()
    assert len(seen["base"]) >= 120
    assert all(np.array_equal(a, b) for a, b in zip(seen["residual"], seen["base"], strict=True))


@pytest.mark.parametrize("learner", ["rlpd", "ibrl", "expo", "qchunk", "td3"])
def test_every_learner_trains_to_a_bundle_that_can_be_evaluated(trained: Path, tmp_path: Path, learner: str) -> None:
    out = tmp_path / "run"
    fewer = ["learner.online.imitation_updates=5"] if learner == "qchunk" else []
    arguments = ["train", f"learner={learner}", f"base={trained / 'base'}", "learner.online.steps=600", *TINY, *fewer]
    assert main([*arguments, f"out={out}"]) == 0
    assert json.loads((out / "result.json").read_text())["promoted"] in ("base", "residual")
    short = "task.task.config.limit=2.0"
    assert main(["evaluate", f"run={out / 'policy_raw'}", "episodes=2", short, f"out={tmp_path / 'eval'}"]) == 0


def test_episodes_can_begin_in_demonstrations(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["train", f"base={trained / 'base'}", "learner.online.steps=900", "learner.starts.share=0.9", *TINY]
    assert main([*arguments, f"out={tmp_path / 'run'}"]) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["env_steps_trained"] >= 900
    assert main([*arguments, "log_fraction=0.5", f"out={tmp_path / 'logged'}"]) == 2
    assert "log_fraction=0.5: no log can tell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("learner.cameras=[foo]", "learner.cameras=foo: not in the observation; valid choices: none"),
        ("learner.config.eyes_frozen=true", "learner.config.eyes_frozen=true: needs learner.eyes=base, not fresh"),
    ],
)
def test_what_cannot_be_seen_is_said(trained: Path, tmp_path: Path, capsys, key: str, words: str) -> None:
    assert main(["train", f"base={trained / 'base'}", *TINY, key, f"out={tmp_path / 'run'}"]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("algo", ["sac", "td3", "ppo"])
def test_stable_baselines3_runs_through_the_same_command(trained: Path, tmp_path: Path, algo: str) -> None:
    out, online = tmp_path / "run", [f"learner.online.{key}" for key in ("steps=900", "segment=300", "batch=32")]
    kept = ("rows", "capacity", "warmup_episodes", "select_episodes", "confirm_episodes")
    small = [item for item in TINY if item.partition("=")[0].endswith(kept)]
    arguments = [
        "train",
        "learner=sb3",
        f"learner.algo={algo}",
        f"base={trained / 'base'}",
        "learner.hidden=[16]",
        *online,
    ]
    assert main([*arguments, *small, "task.task.config.limit=2.0", "threads=1", f"out={out}"]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["env_steps_trained"] >= 900 and len(result["history"]) >= 2
    bundle = load_bundle(out / "policy_raw")
    assert bundle.actor is not None and bundle.actor.features.kind == "own"
    arguments += [*small, "task.task.config.limit=2.0", "threads=1", "resume=true", f"out={out}"]
    assert main(arguments) == 0  # it is finished
    (out / "result.json").unlink()
    assert main(arguments) == 2


def test_what_began_from_nothing_on_a_bundled_task_can_be_evaluated(tmp_path: Path) -> None:
    """Its inputs are the plain observation, where a clone's hold differences of like quantities, too."""
    arguments = ["train", "learner=sac", "task=so101/lift", "learner.online.steps=600", *TINY]
    assert main([*arguments, f"out={tmp_path / 'run'}"]) == 0
    policy, short = f"run={tmp_path / 'run' / 'policy_raw'}", "task.task.config.limit=2.0"
    assert main(["evaluate", policy, "episodes=2", short, f"out={tmp_path / 'eval'}"]) == 0


def test_a_learner_may_begin_from_nothing(tmp_path: Path) -> None:
    tiny = [item for item in TINY if not item.startswith("task.")]
    small = ["learner.online.steps=400", "learner.online.select_episodes=2", "learner.online.confirm_episodes=2"]
    given = [item for item in tiny if item.partition("=")[0] not in [one.partition("=")[0] for one in small]]
    arguments = ["train", "learner=sac", "task=gym", "env_id=Pendulum-v1", *given, *small]
    assert main([*arguments, f"out={tmp_path / 'run'}"]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["promoted"] == "residual" and result["success_rate"] < 0  # the mean return: nobody can tell success

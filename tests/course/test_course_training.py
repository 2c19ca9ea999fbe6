"""The trainings of the course: their order, their data, failures, and what is not done twice."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from commands import refused
from filelock import FileLock
from tools import names

from scalian_exp import compose
from scalian_exp.course.changed import set_aside
from scalian_exp.course.chapter import chapters
from scalian_exp.course.command import course, options
from scalian_exp.course.experiments import Experiment, experiments
from scalian_exp.course.training import Job, Queue, application, training
from scalian_exp.refusal import Refusal
from scalian_exp.run import locks

JOB = """
import sys, time
from pathlib import Path
name, *others = sys.argv[1:]
assert all(Path(other).exists() for other in others), f"{name} began before {others}"
if name == "broken":
    print("first line")
    sys.exit("it can't")
Path(name).touch()
"""


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "pretended.py").write_text(JOB)
    return Queue(tmp_path)


def job(name: str, *needs: str) -> Job:
    return Job(name, ["pretended", name, *needs], set(needs))


def test_jobs_wait_for_those_that_they_need(queue: Queue) -> None:
    assert queue.run([job("last", "middle", "first"), job("middle", "first"), job("first")]) == {}
    assert all((queue.outputs / name).exists() for name in ("first", "middle", "last"))


def test_a_failure_is_told_and_only_stops_what_needs_it(queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    failed = queue.run([job("broken"), job("after", "broken"), job("beyond", "after"), job("other")])
    assert failed["broken"].startswith("it can't (")
    assert failed["after"] == "it needs broken"
    assert failed["beyond"] == "it needs after"
    assert (queue.outputs / "other").exists()
    assert "it can't" in capsys.readouterr().out


def test_an_interruption_ends_what_is_running(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    (queue.outputs / "pretended.py").write_text("import time; time.sleep(60)")

    def interrupted(*_: object, **__: object) -> None:
        while not queue.processes:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("scalian_exp.course.training.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        queue.run([job("endless"), job("later", "endless")])
    assert not queue.processes
    assert not (queue.logs / "later.log").exists()


def test_finished_runs_and_results_are_kept(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "vae"
    assert not training("vae", Experiment([], set()), tmp_path).is_done(tmp_path)
    (run / ".hydra").mkdir(parents=True)
    (run / "config.yaml").touch()
    (run / "metrics.json").write_text('{"status": "finished"}')
    (run / ".hydra" / "overrides.yaml").write_text(f"[experiment=course/vae, outputs={tmp_path}]")
    experiment = Experiment(["experiment=course/vae"], set())
    assert training("vae", experiment, tmp_path).is_done(tmp_path)
    other = [*experiment.overrides, "dataset=mnist"]
    assert training("vae", Experiment(other, set()), tmp_path).is_done(tmp_path), "MNIST has only turned up"
    with pytest.raises(Refusal, match=r"was begun with .*, not .*dataset=mnist"):
        training("vae", Experiment(other, set(), asked=True), tmp_path)
    probe = application("vae", "probe labels=[50]", tmp_path)
    assert probe.arguments[1:] == [f"run={run}", "action=probe", "labels=[50]"]
    (run / "probe" / "2026-01-01").mkdir(parents=True)
    (run / "probe" / "2026-01-01" / "probe.csv").touch()
    assert not probe.is_done(tmp_path), "it may have been interrupted, or be the user's own"
    probe.finish(tmp_path)
    assert probe.is_done(tmp_path)
    assert not application("vae", "probe labels=[100]", tmp_path).is_done(tmp_path), "other arguments"


def test_an_interrupted_run_is_resumed(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "vae"
    (run / "checkpoints").mkdir(parents=True)
    (run / ".hydra").mkdir()
    for file in ("config.yaml", "checkpoints/last.ckpt"):
        (run / file).touch()
    (run / ".hydra" / "overrides.yaml").write_text(f"[experiment=course/vae, outputs={tmp_path}]")
    job = training("vae", Experiment(["experiment=course/vae"], set()), tmp_path)
    assert job.arguments == ["scalian_exp.train", f"resume={run}"]


def test_data_that_are_at_hand_are_used(tmp_path: Path) -> None:
    runs = ["vae", "pixelcnn", "unet", "recommender"]
    assert {name: len(each.overrides) for name, each in experiments(runs, None, tmp_path).items()} == dict.fromkeys(
        runs, 1
    )
    assert experiments(["vae"], None, tmp_path)["vae"].needs == {"classifier"}
    for file in ("MNIST/raw/train-images-idx3-ubyte.gz", "ml-100k/u.data"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    place = f"dataset.root={tmp_path}"
    found = {name: each.overrides[1:] for name, each in experiments(runs, None, tmp_path).items()}
    assert found == {
        "vae": ["dataset=mnist", place],
        "pixelcnn": ["dataset=mnist_binarized_dynamic", place],
        "unet": [],
        "recommender": ["dataset=movielens_100k", place],
    }
    assert experiments(["vae"], "sample", tmp_path)["vae"].overrides == ["experiment=course/vae"]


def test_impossible_options_are_refused_in_a_sentence(tmp_path: Path) -> None:
    assert options(["language=fr", "--outputs=there"]) == {"language": "fr", "outputs": "there"}
    with pytest.raises(Refusal, match="choose among language=…"):
        options(["model=vae"])
    assert "choose fr or en" in refused("language=de", cwd=tmp_path, module="course.command")
    assert "mnist or sample" in refused("dataset=cifar10", cwd=tmp_path, module="course.command")


def test_chapters_have_a_place_each_and_name_experiments() -> None:
    contents, known = chapters(), {name.removeprefix("course/") for name in names("experiment") if "/" in name}
    assert [chapter.order for chapter in contents] == list(range(1, 17))
    named = {run for chapter in contents for run in chapter.runs}
    assert named <= known
    assert known - named == {"classifier"} - named, "experiments of the course that no chapter shows"


ALONE = Experiment([], set())


def finished(run: Path, overrides: list[str]) -> dict[str, Any]:
    """Write the files that a finished run leaves, and return its config."""
    config = compose(*overrides)
    config.pop("trust")  # runs don't store it
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    (run / "metrics.json").write_text('{"status": "finished"}')
    (run / "config.yaml").write_text(json.dumps(config))
    return config


def test_a_run_whose_experiment_has_changed_is_set_aside_and_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, run = ["experiment=course/recommender", f"outputs={tmp_path}"], tmp_path / "runs" / "recommender"
    config = finished(run, overrides)
    set_aside(dict.fromkeys(["recommender", "missing"], ALONE), tmp_path)
    assert capsys.readouterr().out == ""
    config["trainer"] |= {"accelerator": "gpu"}
    (run / "config.yaml").write_text(json.dumps(config))
    set_aside({"recommender": ALONE}, tmp_path)
    assert run.is_dir(), "the same network, trained elsewhere"
    config["trainer"] |= {"max_epochs": 77}
    (run / "config.yaml").write_text(json.dumps(config))
    set_aside({"recommender": ALONE}, tmp_path)
    assert not run.exists()
    assert json.loads((tmp_path / "earlier" / "recommender" / "config.yaml").read_text()) == config
    told = capsys.readouterr().out
    assert re.fullmatch(r"recommender has changed \(trainer.max_epochs: 77 → \d+\): it is trained again, .*\n", told)
    assert not training("recommender", Experiment(overrides, set()), tmp_path).is_done(tmp_path)


def test_so_are_those_that_a_changed_run_judged_and_those_whose_overrides_are_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [f"outputs={tmp_path}", "model.network.latent_dim=3"]
    for name in ("classifier", "vae", "gan"):
        finished(tmp_path / "runs" / name, [f"experiment=course/{name}", own[0], *(own[1:] if name == "vae" else [])])
    overrides = tmp_path / "runs" / "classifier" / ".hydra" / "overrides.yaml"
    overrides.write_text(json.dumps(["experiment=course/classifier", "model.gone=3"]))
    judged = Experiment([], {"classifier"})
    set_aside({"vae": judged, "gan": ALONE, "classifier": ALONE}, tmp_path)
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["gan"]
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("classifier has changed (its overrides don't exist any more): it is trained again")
    assert told[1].startswith("vae has changed (classifier is new): it is trained again")


def test_a_second_course_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / locks.LOCK)
    with lock, pytest.raises(locks.InUse, match="is in use: another process works there"):
        course(outputs=str(tmp_path))

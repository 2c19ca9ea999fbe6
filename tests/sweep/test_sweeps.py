"""A sweep that was stopped at any moment can be resumed, with the same result."""

import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from commands import QUICK, command
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from sweeps import SWEEP, copy_sweep, table
from tools import ONE_STEP

from scalian_exp.commandline.overrides import as_sweeps_of_one, check_options
from scalian_exp.refusal import Refusal
from scalian_exp.sweep.resume import resumed_sweep


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the sweep without interruption and return its folder."""
    folder = tmp_path_factory.mktemp("finished")
    assert command("-m", *SWEEP, cwd=folder).returncode == 0
    return folder


def test_resuming_reruns_missing_failed_and_interrupted_jobs(finished: Path, tmp_path: Path) -> None:
    copy_sweep(finished, tmp_path)
    sweep = tmp_path / "sweep"
    first, failed, interrupted, missing = sorted(folder for folder in sweep.iterdir() if folder.is_dir())
    shutil.rmtree(missing)
    (failed / "metrics.json").unlink()
    (failed / "error.txt").write_text("the disk was full")
    for file in ("metrics.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        (interrupted / file).unlink()
    untouched = (first / "metrics.json").stat().st_mtime_ns
    result = command("sweep.resume=sweep", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert table(sweep) == table(finished / "sweep")
    assert (first / "metrics.json").stat().st_mtime_ns == untouched
    assert not (failed / "error.txt").exists()


def test_resuming_with_other_overrides_is_refused_with_the_difference(finished: Path, tmp_path: Path) -> None:
    overrides = [override.replace("seed=0,1", "seed=0,2") for override in SWEEP]
    before = sorted(finished.rglob("*"))
    result = command("-m", *overrides, "sweep.resume=sweep", cwd=finished)
    assert result.returncode == 1
    assert "only then: seed=0,1; only now: seed=0,2" in result.stderr
    assert sorted(finished.rglob("*")) == before
    assert "no multirun.yaml" in command(f"sweep.resume={tmp_path}", cwd=finished).stderr
    assert "sweep.resume=sweep" in command("-m", *SWEEP, cwd=finished).stderr


def test_changed_configs_are_refused_before_any_job(finished: Path, tmp_path: Path) -> None:
    copy_sweep(finished, tmp_path)
    file = sorted((tmp_path / "sweep").glob("*/config.yaml"))[-1]
    config = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**config, "loss": {**config["loss"], "beta": 7.0}}))
    result = command("sweep.resume=sweep", cwd=tmp_path)
    assert result.returncode == 1
    assert f"{file.parent.name} was started: loss.beta: 7.0 → 1.0" in result.stderr


def test_a_sweep_resumes_with_moved_data(tmp_path: Path) -> None:
    """Its folders keep their names, and the printed command to resume it contains the data's new path."""
    for place, grey in (("old", 60), ("old", 180)):
        for k in range(12):
            (tmp_path / place).mkdir(exist_ok=True)
            Image.new("L", (8, 8), grey + k).save(tmp_path / f"{place}/{grey}_{k}.png")
    quick = [override for override in QUICK if not override.startswith("dataset=")]
    data = ["dataset=image_folder", "dataset.root=old", "dataset.image_size=[8,8]", "dataset.in_channels=1"]
    data.append("dataset.num_workers=0")
    overrides = [*quick, *data, "test=false", "seed=0,1", "hydra.sweep.dir=sweep"]
    assert command("-m", *overrides, cwd=tmp_path).returncode == 0
    jobs = sorted(folder for folder in (tmp_path / "sweep").iterdir() if folder.is_dir())
    (jobs[1] / "metrics.json").unlink()
    (tmp_path / "old").rename(tmp_path / "new data")
    result = command("sweep.resume=sweep", cwd=tmp_path)
    assert result.returncode == 1
    for arguments in (["dataset.root=new data"], ["-m", *overrides[:-1], "dataset.root=new data"]):
        (jobs[1] / "metrics.json").unlink(missing_ok=True)
        result = command("sweep.resume=sweep", *arguments, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert sorted(folder for folder in (tmp_path / "sweep").iterdir() if folder.is_dir()) == jobs
        assert yaml.safe_load((jobs[1] / "config.yaml").read_text())["dataset"]["root"] == str(tmp_path / "new data")
    assert command("sweep.resume=sweep", cwd=tmp_path).returncode == 0  # all jobs are finished
    (jobs[0] / "metrics.json").unlink()
    (jobs[0] / "checkpoints/last.ckpt").write_bytes(b"damaged")
    (line,) = [
        line for line in command("sweep.resume=sweep", "dataset.root=new data", cwd=tmp_path).stdout.splitlines()
        if line.startswith("go on")
    ]  # fmt: skip
    name, *arguments = shlex.split(line)[2:]
    assert Path(name).name == "scalian-train"  # a path, if the shell wouldn't find the program by its name
    assert arguments == ["sweep.resume=sweep", "dataset.root=new data"]


def test_a_resumed_sweep_may_use_another_launcher(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = finished / "sweep"
    with pytest.raises(Refusal, match=f"was started in {finished}"):
        resumed_sweep([f"sweep.resume={sweep}"])
    monkeypatch.chdir(finished)
    arguments = resumed_sweep(["-m", *SWEEP[:-1], f"sweep.resume={sweep}", "hydra/launcher=other"])
    assert arguments[0] == "--multirun"
    assert set(as_sweeps_of_one(SWEEP[:-1])) < set(arguments)
    assert arguments[-3:] == ["hydra/launcher=other", f"hydra.sweep.dir={sweep}", "hydra.callbacks.jobs.resume=true"]
    assert [argument for argument in arguments if "sweep.dir" in argument] == arguments[-2:-1]
    with pytest.raises(Refusal, match="only now: seed=3"):
        resumed_sweep([*SWEEP, "seed=3", f"sweep.resume={sweep}"])


def test_values_that_only_the_swept_models_have_are_passed_to_each_job(tmp_path: Path) -> None:
    overrides = ["model=unet,tiramisu56", "model.network.width=0.03", "model/crf=default", "dataset=fake_masks"]
    limits = [
        "dataset.num_classes=4",
        *ONE_STEP,
        "trainer.max_epochs=1",
        "trainer/accelerator=cpu",
        "callbacks=minimal",
        "logger=none",
    ]
    result = command("-m", *overrides, *limits, "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    jobs = [yaml.safe_load(file.read_text()) for file in sorted((tmp_path / "sweep").glob("*/config.yaml"))]
    assert [job["model"]["network"]["width"] for job in jobs] == [0.03, 0.03]
    again = command("-m", *overrides, *limits, "sweep.resume=sweep", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("skipped: ") + again.stderr.count("skipped: ") == 2


def test_values_are_passed_to_each_job_only_in_sweeps_over_options() -> None:
    options = ["-m", "model=unet,fastfcn"]
    many = [*options, "model.network.width=0.1", "dataset.image_size=[9,9]", "seed=1", "loss.name='a,b'"]
    assert as_sweeps_of_one(many) == [
        *options,
        "model.network.width=choice(0.1)",
        "dataset.image_size=choice([9,9])",
        "seed=1",
        "loss.name=choice('a,b')",
    ]
    assert as_sweeps_of_one(as_sweeps_of_one(many)) == as_sweeps_of_one(many)
    for alone in (["seed=1,2", "model.network.width=0.1"], ["model=unet", "loss.beta=1"]):
        assert as_sweeps_of_one(alone) == alone


@pytest.mark.parametrize(
    "value", ["1", "'1'", "null", "'null'", "true", "[5,6]", "{a:1}", "${seed}", r"'it\'s'", "a b", "''"]
)
def test_a_job_of_a_sweep_over_options_gets_exactly_the_given_value(value: str) -> None:
    """This holds whether the override became a sweep over one value or couldn't."""
    parse = OverridesParser.create().parse_override
    *_, argument = as_sweeps_of_one(["model=unet,fastfcn", f"dataset.root={value}"])
    override = parse(argument)
    given = [*override.sweep_string_iterator()] if override.is_sweep_override() else [value]
    expected = parse(f"dataset.root={value}").value()
    assert [repr(parse(f"dataset.root={each}").value()) for each in given] == [repr(expected)]
    assert override.is_sweep_override() or value == r"'it\'s'"


def test_an_option_that_is_not_a_name_is_refused() -> None:
    for override, message in (
        ("logger=null", "logger=null is none of csv, default, mlflow, none, tensorboard, trackio, wandb; choose one"),
        ("loss=3", "loss=3 is none of bce, "),
        ("model/crf=null", "model/crf=null is none of default; choose one, or leave model/crf out"),
    ):
        with pytest.raises(Refusal, match=message):
            check_options(["model=unet", override])
    check_options(["-m", "model=unet,vae", "loss=1,2", "~model/crf", "+model/crf=default", "seed=3", "loss={beta:4}"])


def test_a_repeated_command_resumes_its_sweep_whatever_its_options_for_hydra(tmp_path: Path) -> None:
    """This includes sweeps of older versions, which recorded values as they were given."""
    overrides = ["model=unet,fastfcn", "model.network.width=0.1"]
    for recorded in (overrides, as_sweeps_of_one(overrides)):
        hydra = {"overrides": {"task": recorded, "hydra": []}, "runtime": {"cwd": str(Path.cwd())}}
        (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
        for more in ([], ["hydra/sweeper=optuna"]):
            assert "--multirun" in resumed_sweep([*overrides, *more, f"sweep.resume={tmp_path}"])


@pytest.mark.slow
def test_a_sweep_killed_three_times_ends_with_the_same_summary(finished: Path, tmp_path: Path) -> None:
    """Kill it at its first checkpoint, with a job finished, and when a job has just got its folder."""
    sweep = tmp_path / "sweep"
    arguments = ["-m", *SWEEP]
    for moment in ("0_*/checkpoints/*.ckpt", "1_*/metrics.json", "3_*/.hydra/config.yaml"):
        running = subprocess.Popen(
            [sys.executable, "-m", "scalian_exp.train", *arguments], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        while not any(sweep.glob(moment)) and running.poll() is None:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL, f"it ended before {moment}"
        assert not (sweep / "summary.csv").exists()
        arguments = ["sweep.resume=sweep"]
    assert command(*arguments, cwd=tmp_path).returncode == 0
    assert table(sweep) == table(finished / "sweep")

"""The commands as a user calls them."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from commands import QUICK, command, refused


def test_the_command_that_trains_a_judge_can_be_pasted(tmp_path: Path) -> None:
    """It names the same data set, and the judge that it trains is accepted."""
    quick = [override for override in QUICK if not override.startswith(("dataset=", "callbacks="))]
    judged = [f"callbacks.sample_quality.{argument}" for argument in ("judge=my judge", "samples=4")]
    overrides = [
        *quick,
        "callbacks=sample_quality",
        *judged,
        "model=vae",
        "dataset=fake_images",
        "dataset.image_size=[8,8]",
        "hydra.run.dir=vae",
    ]
    message = refused(*overrides, cwd=tmp_path)
    program, *arguments = shlex.split(message.partition("on the same data set: ")[2])
    assert Path(program).name == "scalian-train"
    assert arguments[:3] == ["model=classifier", "dataset=fake_images", "dataset.image_size=[8,8]"]
    cheap = ["trainer.max_epochs=1", "trainer/accelerator=cpu", "callbacks=minimal", "logger=none"]
    assert command(*arguments, *cheap, cwd=tmp_path).returncode == 0
    assert command(*overrides, "callbacks.figures=null", cwd=tmp_path).returncode == 0


def test_a_sweep_continues_after_a_failure_and_ends_with_a_summary(tmp_path: Path) -> None:
    result = command("-m", "model=vae", *QUICK, "loss.beta=0.5,1e39,4", "outputs=out", cwd=tmp_path)
    assert result.returncode == 1
    (sweep,) = (tmp_path / "out/multirun").iterdir()
    rows = (sweep / "summary.csv").read_text().splitlines()
    assert [row.split(",")[1:3] for row in rows] == [
        ["loss.beta", "status"], ["0.5", "finished"], ["1e+39", "failed"], ["4", "finished"]
    ]  # fmt: skip
    assert "test/kl" in rows[0]
    assert "NaN or infinite" in (next(sweep.glob("1_*")) / "error.txt").read_text()
    assert (sweep / "summary.md").read_text().count("\n") == 5
    assert (sweep / "summary.png").stat().st_size > 1000
    assert len({path.name for path in sweep.iterdir() if path.is_dir()}) == 3
    assert "is a folder of 3 runs, not a run" in command(f"resume={sweep}", cwd=tmp_path).stderr
    job = next(sweep.glob("0_*")).relative_to(tmp_path)
    assert command(f"resume={job}", "trainer.max_epochs=2", cwd=tmp_path).returncode == 0
    assert command(f"run={job}", "action=sample", cwd=tmp_path, module="apply").returncode == 0
    again = command("-m", "model=vae", *QUICK, "loss.beta=1,2", f"hydra.sweep.dir={sweep}", cwd=tmp_path)
    assert again.returncode == 1
    assert "holds a sweep already" in again.stderr


def test_a_sweep_over_models_has_one_folder_and_one_summary(tmp_path: Path) -> None:
    assert command("-m", "model=vae,autoencoder", "seed=1,2", *QUICK, cwd=tmp_path).returncode == 0
    (sweep,) = (tmp_path / "outputs/multirun").iterdir()
    assert len((sweep / "summary.csv").read_text().splitlines()) == 5
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["multirun"]


def test_a_full_disk_ends_one_job_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = torch.save

    def full_at_first(contents: object, file: Path) -> None:
        if "sweep/0_" in str(file):
            file.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(contents, file)

    monkeypatch.setattr(torch, "save", full_at_first)
    result = command("-m", *QUICK, "loss.beta=1,2", "hydra.sweep.dir=sweep", "test=false", cwd=tmp_path)
    assert result.returncode == 1
    printed = result.stdout + result.stderr
    assert "No space is left on the disk; free some and try again." in printed
    assert "Traceback" not in printed
    first, second = sorted((tmp_path / "sweep").glob("[01]_*"))
    assert "No space is left" in (first / "error.txt").read_text()
    assert not any((first / "checkpoints").iterdir())
    assert '"finished"' in (second / "metrics.json").read_text()
    assert "failed" in (tmp_path / "sweep/summary.csv").read_text()


def at_batch(number: int, request_to_end: signal.Signals) -> list[str]:
    """Return overrides that send a command a signal when it starts the n-th batch of a training."""
    node = "+callbacks.at"
    return [f"{node}._target_=interruptions.At", f"{node}.batch={number}", f"{node}.number={int(request_to_end)}"]


UNTESTED = [*[argument for argument in QUICK if not argument.startswith("trainer.max_epochs")], "test=false"]


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_ends_with_a_summary(request_to_end: signal.Signals, tmp_path: Path) -> None:
    overrides = [*UNTESTED, "trainer.max_epochs=4", "loss.beta=1,2", "hydra.sweep.dir=sweep"]
    result = command("-m", *overrides, *at_batch(8, request_to_end), cwd=tmp_path)
    assert result.returncode == 130, result.stderr
    assert "Go on with:" in result.stdout
    assert "The sweep ends here" in result.stdout
    assert "interrupted" in (tmp_path / "sweep/summary.csv").read_text()
    assert not list((tmp_path / "sweep").glob("1_*"))


@pytest.mark.slow
@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_in_a_process_of_its_own_ends_too(request_to_end: signal.Signals, tmp_path: Path) -> None:
    arguments = ["-m", *UNTESTED, "trainer.max_epochs=100000", "loss.beta=1,2", "hydra.sweep.dir=sweep"]
    running = subprocess.Popen(
        [sys.executable, "-m", "scalian_exp.train", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    while not running.stdout.readline().startswith("epoch 2"):
        assert running.poll() is None, "ended too soon"
    running.send_signal(request_to_end)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "The sweep ends here" in rest
    assert "Traceback" not in rest


def test_a_run_without_checkpoints_finishes_too(tmp_path: Path) -> None:
    result = command("model=vae", *QUICK, "~callbacks.best", "~callbacks.last", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "test/neg_elbo" in result.stdout


def test_runs_of_the_same_moment_never_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime.now()
    monkeypatch.setattr("hydra.core.utils.datetime", SimpleNamespace(now=lambda: moment))
    for _ in range(2):
        assert command(*QUICK, "test=false", cwd=tmp_path).returncode == 0
    first, second = sorted((tmp_path / "outputs/vae_fake_images").iterdir())
    assert second.name == f"{first.name}_2"


@pytest.mark.slow
def test_two_runs_at_once_never_share_a_folder(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-m", "scalian_exp.train", *QUICK], cwd=tmp_path, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [started.wait(timeout=200) for started in processes] == [0, 0]
    assert len(list((tmp_path / "outputs/vae_fake_images").iterdir())) == 2


def test_a_run_stopped_by_ctrl_c_resumes_bit_for_bit(tmp_path: Path) -> None:
    overrides = [*UNTESTED, "trainer.max_epochs=9", "hydra.run.dir=run"]
    stopped = command(*overrides, *at_batch(11, signal.SIGINT), cwd=tmp_path)  # the second of the fourth epoch
    assert stopped.returncode == 130, stopped.stderr
    assert "scalian-train resume=run" in stopped.stdout
    assert "Traceback" not in stopped.stdout + stopped.stderr
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["status"] == "interrupted"
    assert metrics["val/neg_elbo"] > 0
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["epoch"] == 3
    resumed = command("resume=run", "trainer.max_epochs=5", "callbacks.at.batch=0", "trust=interruptions", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    never = at_batch(0, signal.SIGINT)  # any custom callback changes steps in their last bits
    straight = command(*UNTESTED, "trainer.max_epochs=5", "hydra.run.dir=straight", *never, cwd=tmp_path)
    assert straight.returncode == 0
    states = [
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("run", "straight")
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_custom_network_and_its_configs_plug_in(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = root / "docs/own_network"
    monkeypatch.syspath_prepend(str(own))
    arguments = [f"hydra.searchpath=[file://{own}/configs]", "model=halves", "dataset=fake_images", *QUICK[:4]]
    result = command(*arguments, "hydra.run.dir=run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    used = command("run=run", "action=reconstruct", cwd=tmp_path, module="apply")
    assert re.search(
        r"model\.network in run/checkpoints/best\.ckpt names halves\.Halves.* add trust=halves ", used.stderr
    )
    used = command("run=run", "action=reconstruct", "trust=halves", cwd=tmp_path, module="apply")
    assert used.returncode == 0, used.stderr
    further = ["resume=run", "trainer.max_epochs=2"]
    assert "add trust=halves" in command(*further, cwd=tmp_path).stderr
    assert command(*further, "trust=other,halves", cwd=tmp_path).returncode == 0
    assert "trust" not in (tmp_path / "run/config.yaml").read_text()
    odd = command(*arguments, "dataset.image_size=[15,16]", cwd=tmp_path)
    assert odd.stderr.strip() == "model: Images of 15 rows have no halves; use an even height."
    wrong = command(*arguments, "loss=elbo", cwd=tmp_path)
    assert "can't train model=halves; use loss=bce|l1|mse" in wrong.stderr


def test_a_closed_pipe_is_not_reported_as_an_error(tmp_path: Path) -> None:
    """`scalian-apply --help | head -1` closes the pipe before everything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-m", "scalian_exp.apply", "--help"]
    ended = subprocess.run(program, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, timeout=250, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


def test_resuming_a_training_that_has_reached_its_steps_changes_nothing(tmp_path: Path) -> None:
    overrides = [*QUICK, "model=autoencoder", "test=false", "trainer.max_epochs=2", "hydra.run.dir=run"]
    assert command(*overrides, cwd=tmp_path).returncode == 0
    for limit in ("trainer.max_steps=6", "trainer.max_epochs=2"):
        assert command("resume=run", limit, cwd=tmp_path).returncode == 0
        metrics = json.loads((tmp_path / "run/metrics.json").read_text())
        assert (metrics["epochs"], metrics["steps"]) == (2, 6)
    before = (tmp_path / "run/config.yaml").read_bytes()
    result = command("resume=run", "trainer.max_steps=5", cwd=tmp_path)
    assert result.returncode == 1
    message = "This run has trained 6 steps already, which count towards trainer.max_steps=5; give 6 or more"
    assert message in result.stderr
    assert (tmp_path / "run/config.yaml").read_bytes() == before

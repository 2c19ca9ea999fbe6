"""Training in several processes gives the results of one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from commands import QUICK, command
from tools import composed, kinds, numbered, read_csv, tiny
from torch.distributed.launcher import api as torch_launcher

from scalian_exp.checkpoint import read
from scalian_exp.commandline.experiment import checked
from scalian_exp.datasets.order import BatchesInOrder, ShuffledBatches
from scalian_exp.refusal import Refusal
from scalian_exp.run import locks, processes
from scalian_exp.stored import metrics_of

DDP = "trainer/accelerator=ddp_cpu"
HARD_AND_BALANCED = ["loss=ohem", "loss.min_kept=0", "dataset.balanced=true", "model.network.dropout=0.0"]
CURVE = ["logger=csv", "trainer.log_every_n_steps=1", "test=true"]


@pytest.fixture
def quick_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fork the processes from this one, which has imported torch already; the slow tests here start new ones."""
    method = "spawn" if torch.cuda.is_available() else "fork"
    monkeypatch.setattr(torch_launcher, "LaunchConfig", partial(torch_launcher.LaunchConfig, start_method=method))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a fork has no OpenMP threads
    yield
    torch.set_num_threads(threads)


def curve(folder: Path, name: str) -> list[float]:
    """Return the values of a metric in metrics.csv, in the order of the steps."""
    (file,) = folder.rglob("metrics.csv")
    return [float(row[name]) for row in read_csv(file) if row.get(name)]


@pytest.mark.parametrize(
    ("model", "more"),
    [
        pytest.param("autoencoder", ["model.network.hidden=[32]"], marks=pytest.mark.slow),
        pytest.param("fcn8s", ["model.network.dropout=0.0"], marks=pytest.mark.slow),
        pytest.param("fcn8s", HARD_AND_BALANCED, marks=pytest.mark.slow),
        ("rbm", ["loss=persistent_cd", "loss.chains=8", "model.network.hidden=[16]", "trainer.max_epochs=4"]),
        pytest.param("rbm_gaussian", ["loss=contrastive_divergence"], marks=pytest.mark.slow),
        pytest.param("dbn", ["model.network.hidden=[16,8]", "model.epochs_per_layer=4"], marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("quick_start")
def test_two_processes_give_the_learning_curve_of_one(model: str, more: list[str], tmp_path: Path) -> None:
    overrides = [*CURVE, "dataset.batch_size=8", "dataset.test_size=13", "trainer.max_epochs=8", *more]
    one, two = tmp_path / "one", tmp_path / "two"
    alone = processes.launch(tiny(model, *overrides), one)
    metrics = processes.launch(tiny(model, *overrides, DDP), two)
    losses = curve(one, "step/loss")
    assert len(losses) >= 20
    assert curve(two, "step/loss") == pytest.approx(losses, rel=1e-5, abs=1e-5)
    assert curve(two, "train/loss") == pytest.approx(curve(one, "train/loss"), rel=1e-5, abs=1e-5)
    # a DBN's upper layer sees sampled states of 13 examples, which each process samples by itself, and which pixels are
    # hard depends on a batch
    near = 0.1 if model == "dbn" else 1e-2 if more is HARD_AND_BALANCED else 1e-5
    assert metrics["test/loss"] == pytest.approx(alone["test/loss"], rel=near)


def test_two_processes_see_each_test_example_once() -> None:
    shares = [torch.cat([*BatchesInOrder(19, 8, rank, 2)]) for rank in range(2)]
    assert sorted(torch.cat(shares).tolist()) == list(range(19))
    assert [len(BatchesInOrder(17, 8, rank, 2)) for rank in range(2)] == [3, 2]
    assert [len([*BatchesInOrder(17, 8, rank, 2)]) for rank in range(2)] == [3, 2]


def test_two_processes_share_the_rows_of_each_batch() -> None:
    batches = [*ShuffledBatches(numbered(21), 8, epoch=3)]
    shares = [[*ShuffledBatches(numbered(21), 8, 3, rank, 2)] for rank in range(2)]
    for batch, first, second in zip(batches, *shares, strict=True):
        assert torch.equal(torch.cat([first, second]), batch[: len(batch) // 2 * 2])
    assert len(ShuffledBatches(numbered(21), 8, 3, 0, 2)) == 3
    assert len(ShuffledBatches(numbered(17), 8, 3, 0, 2)) == len([*ShuffledBatches(numbered(17), 8, 3, 0, 2)]) == 2


def test_several_machines_need_a_master_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    with pytest.raises(Refusal, match="set MASTER_ADDR"):
        processes.launch(tiny("autoencoder", DDP, "trainer.num_nodes=2"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("refusal", [Refusal("No: never."), locks.InUse("a is in use: wait.")])
def test_a_refusal_in_a_process_stays_a_sentence(refusal: Refusal) -> None:
    """Torch's launcher passes on what `ErrorHandler.record_exception` wrote: the class's name and its message."""
    message = {"message": f"{type(refusal).__name__}: {refusal}", "extraInfo": {"py_callstack": "Traceback …"}}
    error = processes.error_of(0, SimpleNamespace(exitcode=1, message=message))
    assert isinstance(error, Refusal)
    assert str(error) == str(refusal)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"dataset\.batch_size=15 can't be shared evenly by 2 processes"):
        processes.launch(tiny("autoencoder", DDP, "dataset.batch_size=15"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["trainer.devices=2"], "trainer/accelerator=ddp_cpu"),
        (["+trainer.strategy=ddp"], "trainer/accelerator=ddp_cpu"),
        (["+trainer.num_nodes=2"], "trainer/accelerator=ddp_cpu"),
        ([DDP, "trainer.devices=two"], "give the number of processes"),
        ([DDP, "trainer.devices=0"], "give the number of processes"),
        (["trainer/accelerator=fsdp", "trainer.gradient_clip_val=1"], "trainer.gradient_clip_val"),
    ],
)
def test_options_that_several_processes_do_not_support_are_refused(overrides: list[str], sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        checked(composed("model=vae", *overrides))


@pytest.mark.slow
def test_a_resumed_training_in_two_processes_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    overrides = ["dataset=fake_images", "trainer/accelerator=ddp_cpu", "test=false"]
    processes.launch(tiny("denoising_autoencoder", *overrides, "trainer.max_epochs=2"), tmp_path / "straight")
    for epochs in (1, 2):
        processes.launch(tiny("denoising_autoencoder", *overrides, f"trainer.max_epochs={epochs}"), tmp_path / "parts")
    straight, parts = (read(tmp_path / name / "checkpoints/last.ckpt")["state_dict"] for name in ("straight", "parts"))
    assert straight.keys() == parts.keys()
    assert all(torch.equal(straight[name], parts[name]) for name in straight)


ILL = '''
import os, signal
from pytorch_lightning import Callback

class Ill(Callback):
    """End the second process in one way or another."""

    def __init__(self, how: str):
        self.how = how

    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        if trainer.global_rank == 1 and batch_idx == 1:
            if self.how == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "fails":
                raise ArithmeticError("one and one are three")
'''


@pytest.mark.slow
def test_a_process_that_dies_ends_its_job_but_not_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "ill.py").write_text(ILL)
    result = command(
        *["-m", *QUICK, DDP, "model=autoencoder", "hydra.sweep.dir=sweep"],
        *["+callbacks.ill._target_=ill.Ill", "+callbacks.ill.how=dies,fails,lives"],
        cwd=tmp_path,
    )
    assert result.returncode == 1
    died, failed, lived = sorted(folder for folder in (tmp_path / "sweep").iterdir() if folder.is_dir())
    assert "Process 1 of this job ended: Signal 9 (SIGKILL)" in (died / "error.txt").read_text()
    assert "ArithmeticError: one and one are three" in (failed / "error.txt").read_text()
    assert "one and one are three" in result.stdout
    assert (lived / "metrics.json").exists()


@pytest.mark.slow
def test_an_interruption_ends_all_processes_and_saves_their_work(tmp_path: Path) -> None:
    arguments = [*QUICK, DDP, "model=autoencoder", "trainer.max_epochs=-1", "hydra.run.dir=run"]
    running = subprocess.Popen(
        [sys.executable, "-m", "scalian_exp.train", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "run/checkpoints/last.ckpt").exists() and running.poll() is None:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    output, _ = running.communicate()
    assert running.returncode == 130
    assert "resume=run" in output
    assert command("resume=run", f"trainer.max_epochs={epochs_of(tmp_path / 'run') + 2}", cwd=tmp_path).returncode == 0


def epochs_of(folder: Path) -> Any:
    return metrics_of(folder)["epochs"]


@pytest.mark.slow
def test_several_machines_and_torchrun_are_supported(tmp_path: Path) -> None:
    """Simulate two machines with one process each, and start two processes by torchrun."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    overrides = [*QUICK, DDP, "model=autoencoder", "trainer.max_epochs=1"]
    python, environment = [sys.executable, "-m"], {**os.environ, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    machines = ["trainer.num_nodes=2", "trainer.devices=1", "hydra.run.dir=two"]
    machine = [*python, "scalian_exp.train", *overrides, *machines]
    both = [subprocess.Popen(machine, cwd=tmp_path, env=environment) for _ in range(2)]
    assert [running.wait() for running in both] == [0, 0]
    torchrun = [*python, "torch.distributed.run", "--nproc-per-node=2", "-m", "scalian_exp.train", *overrides]
    assert subprocess.run([*torchrun, "hydra.run.dir=run"], cwd=tmp_path, check=False).returncode == 0
    two, run = (metrics_of(tmp_path / name)["test/loss"] for name in ("two", "run"))
    assert two == pytest.approx(run, rel=1e-6)
    alone = subprocess.run(torchrun, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "add hydra.run.dir=" in alone.stderr


@pytest.mark.slow
@pytest.mark.parametrize("model", kinds())
def test_every_model_trains_in_two_processes(model: str, tmp_path: Path) -> None:
    config = tiny(model, DDP, "callbacks=default", "callbacks.figures.every_n_epochs=1")
    if config["model"].get("optimizer") is None:
        with pytest.raises(Refusal, match="nothing by gradient"):
            processes.launch(config, tmp_path / "run")
        return
    assert processes.launch(config, tmp_path / "run")["status"] == "finished"

"""Only one process at a time works in the folder of a run or a sweep."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer
from typing import Any
from unittest.mock import patch

import pytest
from commands import QUICK, command
from filelock import FileLock
from tools import tree

from scalian_exp import folders
from scalian_exp.run import locks
from scalian_exp.run.locks import InUse


@pytest.fixture
def other() -> Any:
    """Return a function that starts a process, waits until it holds the lock of a folder, and returns it."""
    running: list[subprocess.Popen[str]] = []

    def holding(folder: Path) -> subprocess.Popen[str]:
        code = f"from pathlib import Path\nfrom scalian_exp.run import locks\nlocks.hold(Path({str(folder)!r}))\n"
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}print('holds', flush=True)\ninput()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        return process

    yield holding
    for process in running:
        process.kill()
        process.communicate()


def test_a_second_start_or_resume_is_refused_with_the_process_that_holds_the_folder(other: Any, tmp_path: Path) -> None:
    assert command(*QUICK, "test=false", "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    assert command("-m", *QUICK, "test=false", "seed=1,2", "hydra.sweep.dir=sweep", cwd=tmp_path).returncode == 0
    (job, _) = folders.runs_in(tmp_path / "sweep")
    for folder, commands in {
        tmp_path / "run": [[*QUICK, "hydra.run.dir=run"], ["resume=run"], ["-m", *QUICK, "hydra.sweep.dir=run"]],
        tmp_path / "new": [[*QUICK, "hydra.run.dir=new"], [*QUICK, "hydra.run.dir=new/../new"]],
        tmp_path / "sweep": [
            ["-m", *QUICK, "seed=1,2", "hydra.sweep.dir=sweep"],
            ["sweep.resume=sweep"],
            [f"resume={job}"],
            [*QUICK, "hydra.run.dir=sweep/own"],
        ],
        job: [["sweep.resume=sweep"], [f"resume={job}"]],
    }.items():
        process = other(folder)
        before = tree(tmp_path)
        for arguments in commands:
            result = command(*arguments, cwd=tmp_path)
            assert result.returncode == 1, arguments
            assert f"is in use: process {process.pid} on " in result.stderr, arguments
            assert "Traceback" not in result.stderr
            assert tree(tmp_path) == before, arguments
        process.kill()
        process.wait()
    assert command("sweep.resume=sweep", cwd=tmp_path).returncode == 0  # the lock died with its process
    assert command("resume=run", cwd=tmp_path).returncode == 0
    assert not list((tmp_path / "run").glob(".lock*"))


@pytest.mark.slow
def test_of_two_simultaneous_starts_in_one_folder_one_trains(tmp_path: Path) -> None:
    overrides = [*QUICK, "test=false", "hydra.run.dir=run"]
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "scalian_exp.train", *overrides, f"seed={seed}"],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for seed in (1, 2)
    ]  # fmt: skip
    errors = [process.communicate(timeout=200)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert "in use" in "".join(errors) or "holds a run already" in "".join(errors)
    assert len(json.loads((tmp_path / "run/environment.json").read_text())) == 1


WAITS = '''
import time
from pathlib import Path
from pytorch_lightning import Callback

class Waits(Callback):
    """Signal that a process trains, and wait for a file before continuing."""

    def on_train_start(self, trainer, task):
        Path(f"trains_{trainer.global_rank}").touch()
        while not Path("go").exists():
            time.sleep(0.1)
'''


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes_started_by_torchrun_share_one_lock(tmp_path: Path) -> None:
    """As long as they train, starting or resuming in the folder is refused and changes nothing there."""
    (tmp_path / "waits.py").write_text(WAITS)
    overrides = [*QUICK, "trainer/accelerator=ddp_cpu", "trainer.devices=2", "test=false", "hydra.run.dir=run"]
    overrides += ["+callbacks.waits._target_=waits.Waits"]
    alone = [sys.executable, "-m", "scalian_exp.train"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", *alone[1:]]
    first = subprocess.Popen(
        [*torchrun, *overrides], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not all((tmp_path / f"trains_{rank}").exists() for rank in range(2)):
            assert first.poll() is None
            time.sleep(0.1)
        before = tree(tmp_path)
        for start in (torchrun, alone):
            for arguments in (overrides, ["resume=run", "trust=waits"]):
                second = subprocess.run([*start, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
                assert second.returncode == 1, second.stderr
                assert "run is in use: process " in second.stderr, second.stderr
                assert tree(tmp_path) == before, arguments
        (tmp_path / "go").touch()
        assert first.wait() == 0
    finally:
        first.kill()
        first.wait()
    assert folders.state(tmp_path / "run") is folders.State.FINISHED
    assert not list((tmp_path / "run").glob(".lock*"))


def test_a_lock_ends_with_its_process_even_if_children_live_on(tmp_path: Path) -> None:
    """Forked processes, such as those that load data, don't keep it."""
    code = (
        "import os, time\nfrom pathlib import Path\nfrom scalian_exp.run import locks\n"
        f"locks.hold(Path({str(tmp_path)!r}))\n"
        "child = os.fork()\nif child == 0:\n    time.sleep(60)\n    os._exit(0)\n"
        "print(child, flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        with pytest.raises(InUse, match=rf"process {process.pid} on .* since \d{{4}}-"):
            locks.check_free(tmp_path)
        process.kill()
        process.wait()
        locks.check_free(tmp_path)
    finally:
        process.kill()
        process.wait()
        os.kill(child, signal.SIGKILL)


def test_training_works_on_file_systems_without_locks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with patch("fcntl.flock", side_effect=OSError(errno.ENOSYS, "Function not implemented")), locks.held(tmp_path):
        pass
    assert "has no locks" in caplog.text  # no lock file instead, which a killed process would leave behind
    with (
        patch.object(FileLock, "acquire", side_effect=OSError(errno.EIO, "broken")),
        pytest.raises(OSError, match="br"),
    ):
        locks.hold(tmp_path)


def test_a_folder_has_one_lock_however_its_path_is_spelt(tmp_path: Path) -> None:
    """This includes the lock of a job's sweep if the job's folder is given as `.` or as a link."""
    (tmp_path / "work").mkdir()
    assert command(*QUICK, "test=false", "hydra.run.dir=../runs/x", cwd=tmp_path / "work").returncode == 0
    (tmp_path / "link").symlink_to("runs/x")
    (tmp_path / "runs/x/metrics.json").unlink()
    assert command("resume=../link", cwd=tmp_path / "work").returncode == 0
    for cwd, override in ((tmp_path / "runs/x", "resume=."), (tmp_path, "resume=link"), (tmp_path, "resume=runs/x/.")):
        with FileLock(tmp_path / "runs" / locks.LOCK):
            result = command(override, cwd=cwd)
        assert result.returncode == 1
        assert f"{tmp_path / 'runs'} is in use" in result.stderr


def test_a_lock_that_is_held_briefly_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs of a killed sweep may check at the same time whether the sweep is running."""
    monkeypatch.setattr(locks, "PATIENCE", 60.0)  # so that a slow machine doesn't matter
    for ask in (locks.check_free, locks.hold):
        asking = FileLock(tmp_path / locks.LOCK, thread_local=False)
        asking.acquire()
        Timer(0.05, asking.release).start()
        with locks.all_released():
            ask(tmp_path)


def test_a_lock_that_cannot_be_checked_counts_as_free(tmp_path: Path) -> None:
    """The file system may have no locks, or the sweep's folder may belong to another user."""
    (tmp_path / locks.LOCK).touch()
    for number in (errno.ENOSYS, errno.EACCES, errno.EROFS):
        with patch.object(FileLock, "acquire", side_effect=OSError(number, os.strerror(number))):
            locks.check_free(tmp_path)

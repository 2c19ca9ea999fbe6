"""The jobs of a sweep have the same results with every launcher."""

import json
import shutil
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from commands import process
from sweeps import MEASURED, SWEEP, copy_sweep, table
from tools import read_csv

from scalian_exp.run.devices import devices_of, one_of

LAUNCHERS = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "ray": "hydra_ray_launcher",
}
OPTIONS = {"joblib": ["hydra.launcher.n_jobs=2"], "ray": ["+hydra.launcher.ray.init.num_cpus=2"]}


def launchers() -> list[Any]:
    """List the launchers; those that aren't installed are skipped, because Ray's and joblib's exclude each other."""
    return [
        pytest.param(
            name,
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(
                    find_spec(f"hydra_plugins.{module}") is None, reason=f"no {module} here: make test-all has both"
                ),
            ],
        )
        for name, module in LAUNCHERS.items()
    ]


def results(sweep: Path) -> list[dict[str, Any]]:
    """Return the metrics of each job, except for measured times."""
    files = sorted(sweep.glob("*/metrics.json"))
    return [{k: v for k, v in json.loads(f.read_text()).items() if k not in MEASURED} for f in files]


def launched(launcher: str, *overrides: str, cwd: Path) -> Any:
    """Run a sweep in a new process with one thread per job, because sums of floats depend on the threads."""
    return process(
        *["-m", *overrides, f"hydra/launcher={launcher}", *OPTIONS.get(launcher, [])], cwd=cwd, OMP_NUM_THREADS="1"
    )


def with_bad_jobs(folder: Path, statement: str) -> list[str]:
    """Return overrides for autoencoders; those with loss=l1 do something bad when their training starts."""
    (folder / "ill.py").write_text(
        "import os, signal\nfrom pytorch_lightning import Callback\n\n\nclass Ill(Callback):\n"
        "    def on_train_start(self, trainer, task):\n"
        "        if task.loss.__class__.__name__ == 'AbsoluteError':\n"
        f"            {statement}\n"
    )
    overrides = [override for override in SWEEP if not override.startswith(("model=", "seed="))]
    return [*overrides, "model=autoencoder", "+callbacks.ill._target_=ill.Ill"]


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the sweep with Hydra's own launcher and return its folder."""
    folder = tmp_path_factory.mktemp("basic")
    assert launched("basic", *SWEEP, cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize("launcher", launchers())
def test_every_launcher_gives_the_same_results_bit_for_bit(launcher: str, basic: Path, tmp_path: Path) -> None:
    result = launched(launcher, *SWEEP, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert results(tmp_path / "sweep") == results(basic / "sweep")
    assert table(tmp_path / "sweep") == table(basic / "sweep")
    assert {folder.name for folder in (basic / "sweep").iterdir()} <= {f.name for f in (tmp_path / "sweep").iterdir()}


@pytest.mark.parametrize("launcher", launchers())
def test_every_launcher_resumes_a_sweep(launcher: str, basic: Path, tmp_path: Path) -> None:
    copy_sweep(basic, tmp_path)
    first, *_, last = sorted(folder for folder in (tmp_path / "sweep").iterdir() if folder.is_dir())
    shutil.rmtree(last)
    untouched = (first / "metrics.json").stat().st_mtime_ns
    overrides = ["sweep.resume=sweep", f"hydra/launcher={launcher}", *OPTIONS.get(launcher, [])]
    result = process(*overrides, cwd=tmp_path, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    assert table(tmp_path / "sweep") == table(basic / "sweep")
    assert (first / "metrics.json").stat().st_mtime_ns == untouched


@pytest.mark.parametrize("launcher", launchers())
def test_every_launcher_names_the_jobs_that_failed(launcher: str, tmp_path: Path) -> None:
    """One job fails in its training, and one because its options don't fit together."""
    overrides = with_bad_jobs(tmp_path, "raise ArithmeticError('one and one are three')")
    result = launched(launcher, *overrides, "loss=mse,l1,bce,elbo", cwd=tmp_path)
    assert result.returncode == 1
    failed = sorted(file.parent.name for file in (tmp_path / "sweep").glob("*/error.txt"))
    assert len(failed) == 2
    assert "loss-l1" in failed[0]
    assert "loss-elbo" in failed[1]
    assert "one and one are three" in (tmp_path / "sweep" / failed[0] / "error.txt").read_text()
    statuses = [row["status"] for row in read_csv(tmp_path / "sweep/summary.csv")]
    assert statuses == ["finished", "failed", "finished", "failed"]
    if launcher != "submitit_local":  # its jobs write to files
        assert "one and one are three" in result.stdout + result.stderr


@pytest.mark.parametrize("launcher", launchers())
def test_a_job_that_is_killed_leaves_a_summary(launcher: str, tmp_path: Path) -> None:
    overrides = with_bad_jobs(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    result = launched(launcher, *overrides, "loss=mse,l1", cwd=tmp_path)
    assert result.returncode == 1
    assert "Traceback" in result.stderr  # the summary doesn't hide the launcher's error
    assert "unfinished" in [row["status"] for row in read_csv(tmp_path / "sweep/summary.csv")]
    assert "sweep.resume=sweep" in result.stdout


def test_concurrent_jobs_get_different_gpus(tmp_path: Path) -> None:
    names = ["first", "second"]
    with one_of(names, tmp_path) as one, one_of(names, tmp_path) as other:
        assert (one, other) == (0, 1)
        third: list[int] = []

        def wait() -> None:
            with one_of(names, tmp_path) as index:
                third.append(index)

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(timeout=1)
        assert not third
    waiting.join()
    assert third
    with one_of(names, tmp_path) as again:
        assert again == 0
    with devices_of({"devices": [3]}) as devices:
        assert devices == [3]

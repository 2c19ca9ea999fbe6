"""Measure the overhead of a sweep's jobs, and what running jobs in parallel saves.

    python scripts/benchmark_sweeps.py

With next to nothing to train, the time from one job's start to the next one's is a job's overhead: config, data,
network, folder, TensorBoard, figures, checkpoints, test. The first job also imports torch. The second table measures
complete sweeps: jobs one after another, each on all cores, and two at a time by joblib, which divides the cores among
them. The gain depends on how well a model's small operations use two cores.
"""

import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

SMALL = ["model=vae", "dataset=fake_images", "trainer.max_epochs=1", "trainer/accelerator=cpu", "seed=0,1,2,3,4,5"]
LARGE = {
    "vae": ["model=vae", "trainer.max_epochs=40"],
    # A narrow network gains little from a second core, and a job of a minute outweighs starting joblib's processes.
    "unet": [
        *["experiment=fashion_scenes_unet", "model.network.width=0.125"],
        *["trainer.max_epochs=2", "dataset.train_size=2000"],
    ],
}
EACH = ["trainer/accelerator=cpu", "callbacks=minimal", "seed=0,1,2,3"]
PAIR = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def sweep(folder: Path, *overrides: str) -> float:
    """Return the seconds that a sweep's command takes."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "scalian_exp.train", "-m", *overrides, f"hydra.sweep.dir={folder}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def between_jobs(folder: Path) -> float:
    """Return the median seconds from a job's start to the next one's, without the first job."""
    starts = sorted(file.stat().st_mtime for file in folder.glob("*/.hydra/config.yaml"))[1:]
    return median(later - earlier for earlier, later in pairwise(starts))


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = Table(title="a job's overhead in a sweep, after the first")
        for column in ("callbacks", "seconds", "wanted"):
            table.add_column(column)
        for callbacks in ("default", "minimal"):
            sweep(folder / callbacks, *SMALL, f"callbacks={callbacks}")
            table.add_row(callbacks, f"{between_jobs(folder / callbacks):.2f}", "≤ 1")
        Console().print(table)
        table = Table(title=f"4 jobs on {os.cpu_count()} cores")
        for column in ("model", "one after the other", "two at a time", "times faster", "wanted"):
            table.add_column(column)
        for name, overrides in LARGE.items():
            one = sweep(folder / f"{name}_one", *overrides, *EACH)
            two = sweep(folder / f"{name}_two", *overrides, *EACH, *PAIR)
            table.add_row(name, f"{one:.1f} s", f"{two:.1f} s", f"{one / two:.2f}", "≥ 1.5")
        Console().print(table)


if __name__ == "__main__":
    main()

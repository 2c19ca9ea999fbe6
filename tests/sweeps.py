"""Sweeps that tests start, copy, fabricate and read."""

import json
import shutil
from pathlib import Path

import yaml
from commands import QUICK
from tools import read_csv

SWEEP = [*QUICK, "model=autoencoder,vae", "seed=0,1", "trainer.max_epochs=3", "hydra.sweep.dir=sweep"]
MEASURED = {
    "seconds_per_epoch",
    "training_seconds",
    "samples_per_second",
    "inference_ms_per_sample",
    "activations_mb_per_sample",
}


def table(sweep: Path) -> list[dict[str, str]]:
    """Read summary.csv without its measured times."""
    return [{name: row[name] for name in row if name not in MEASURED} for row in read_csv(sweep / "summary.csv")]


def copy_sweep(source: Path, folder: Path) -> None:
    """Copy a sweep as if it had been started in another folder."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    file = folder / "sweep/multirun.yaml"
    file.write_text(file.read_text().replace(f"cwd: {source}", f"cwd: {folder}"))


def write_sweep(folder: Path, jobs: list[tuple[list[str], float | None]], repeats: list[str]) -> None:
    """Write the folders that a sweep leaves; a job without a result has failed."""
    for number, (overrides, rmse) in enumerate(jobs):
        job = folder / f"{number}_job"
        (job / ".hydra").mkdir(parents=True)
        (job / ".hydra/overrides.yaml").write_text(yaml.safe_dump(overrides))
        (job / ".hydra/config.yaml").write_text(yaml.safe_dump({"repeats": repeats}))
        if rmse is None:
            (job / "error.txt").write_text("no")
            continue
        values = {"test/rmse": rmse, "status": "finished", "monitor": "val/rmse", "best": rmse / 2}
        (job / "metrics.json").write_text(json.dumps(values))

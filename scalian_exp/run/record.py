"""The record of a run: its config, environment and metrics, and the table printed at the end."""

import json
import logging
import math
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.table import Table

from scalian_exp import folders
from scalian_exp.callbacks.timing import Timing
from scalian_exp.commandline.shell import command, command_to_resume, shown
from scalian_exp.commandline.terminal import display
from scalian_exp.files import check_regular, read_json, write_text
from scalian_exp.folders import CONFIG, ENVIRONMENT, FIGURES, METRICS
from scalian_exp.metrics.counters import counts
from scalian_exp.metrics.reliability import remark
from scalian_exp.tasks import position
from scalian_exp.trust import arguments_to_resume

PACKAGES = (
    "scalian-exp",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "numpy",
)


def quiet() -> None:
    """Silence messages of libraries that don't help here.

    These are notes on hardware, advice on loader processes that doesn't apply to data in memory, and reports of how an
    exported network was simplified.
    """
    for library in ("pytorch_lightning", "lightning_fabric", "matplotlib", "onnxscript", "onnx_ir"):
        logging.getLogger(library).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*callbacks used to create the checkpoint need to be provided.*",  # their states are matched by name
        ".*your dataloader is not resumable.*",  # its sampler is
        ".*smaller than the logging interval.*",
        ".*returned `None`.*",  # in tasks that train nothing by gradient
        ".*recommended to use `.*sync_dist=True.*",  # logged values are already the same in all processes
        ".*recommended to use single device strategy.*",  # each process tests its own share
        ".*using a `DistributedSampler`.*",
        ".*`broadcast_buffers` is deprecated.*",  # the oldest supported torch lacks its successor
        ".*find_unused_parameters=True was specified.*",  # some models need it
        ".*`isinstance\\(treespec, LeafSpec\\)`.*",
        ".*`torch.jit.script` is .*",  # torch's own use of it, at the first forward-mode derivative
        ".*No complete tensor found in the group.*",  # of views in an exported network, which is compared afterwards
    ):
        warnings.filterwarnings("ignore", message)


def git_state() -> dict[str, Any] | None:
    """Return the commit and uncommitted changes of the checkout that the code runs from; None if it is installed."""
    command = ["git", "-C", str(Path(__file__).parent)]
    try:
        subprocess.run(
            [*command, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, timeout=10, check=True
        )
        commit = subprocess.run([*command, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        status = subprocess.run(
            [*command, "status", "--porcelain"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "uncommitted": status.stdout.splitlines()}


def installed(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe(config: dict[str, Any], folder: Path) -> None:
    """Write config.yaml and add this start to environment.json, so that the run can be repeated."""
    file = folder / ENVIRONMENT
    starts = read_json(file, list, "delete it and start again") if file.exists() else []
    check_regular(folder / METRICS, "the results are written there; remove it")
    write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    starts.append(
        {
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": shlex.join(sys.argv),
            "seed": config["seed"],
            "python": sys.version.split()[0],
            "packages": {package: installed(package) for package in PACKAGES},
            "git": git_state(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        }
    )
    write_text(file, json.dumps(starts, indent=2) + "\n")


def write_metrics(folder: Path, values: dict[str, Any]) -> None:
    """Write metrics.json; NaN and infinite values, which JSON doesn't have, become null."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    write_text(folder / METRICS, json.dumps(finite, indent=2) + "\n")


def run_statistics(trainer: Any, task: Any, status: str) -> dict[str, Any]:
    """Return what metrics.json holds besides the metrics: status, best value, epochs, size, time and cost."""
    timing = next((callback for callback in trainer.callbacks if isinstance(callback, Timing)), Timing())
    checkpoints = trainer.checkpoint_callback
    seconds, best = timing.seconds_per_epoch, getattr(checkpoints, "best_model_score", None)
    values = {
        "status": status,
        "monitor": getattr(checkpoints, "monitor", None) or task.monitor,
        "best": None if best is None else float(best),
        "best_epoch": getattr(checkpoints, "best_epoch", None),
        "epochs": position.epochs_done(trainer),
        "steps": trainer.global_step,
        "seed": int(os.environ.get("PL_GLOBAL_SEED", 0)),
        "parameters": sum(parameter.numel() for parameter in task.network.parameters()),
        "training_examples": len(trainer.datamodule.splits["train"]),
        "seconds_per_epoch": seconds,
        "training_seconds": timing.training_seconds,
        "samples_per_second": task.samples_per_epoch / seconds if seconds and task.samples_per_epoch else None,
        "inference_ms_per_sample": timing.inference_ms_per_sample,
        **timing.cost,
    }
    return {name: value for name, value in values.items() if value is not None}


def conclude(trainer: Any, task: Any, metrics: dict[str, float], folder: Path) -> dict[str, Any]:
    """Write and return metrics.json, print it as a table, and print the paths of all results."""
    values = run_statistics(trainer, task, "finished")
    everything = {**metrics, **values}
    if not trainer.is_global_zero:
        return everything
    write_metrics(folder, everything)

    uninformative = {"monitor", "best", "best_epoch"} if counts(values["monitor"]) else set()
    shown_values = {name: value for name, value in everything.items() if name not in uninformative}
    print_table("Test" if metrics else "Training", shown_values)
    figures = sorted((folder / FIGURES).glob("*.png")) if (folder / FIGURES).exists() else []
    for figure in figures:
        display(f"figure       {shown(figure)}")
    display(f"run folder   {shown(folder)}")
    if (folder / "tensorboard").exists():
        display(f"dashboard    {command('scalian-report', 'dashboard', shown(folder.parent))}")
    return everything


def print_table(title: str, values: Mapping[str, Any]) -> None:
    """Print metrics as a table of two columns, with remarks on values that few examples make unreliable."""
    table = Table(title=title)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in values.items():
        cell = f"{value:.5g}" if isinstance(value, float) else str(value)
        doubt = remark(name, values)
        table.add_row(name, f"{cell} ({doubt})" if doubt else cell)
    display(table)


def announce_interruption(trainer: Any, task: Any, folder: Path, config: dict[str, Any], batches: int) -> None:
    """Print the command that resumes an interrupted run, and write its metrics so far.

    Args:
        trainer: Lightning's trainer.
        task: the task that it trains.
        folder: the run folder.
        config: the resolved config.
        batches: number of batches of the current epoch that are saved too.
    """
    if saved := folders.checkpoint(folder, "last", "start"):
        wanted = f" of {trainer.max_epochs}" if trainer.max_epochs >= 0 else ""
        done = min(trainer.current_epoch, trainer.max_epochs) if wanted else trainer.current_epoch
        if batches:
            complete = f"{done}{wanted} epochs and {batches} of {trainer.num_training_batches} batches of the next are"
        else:
            last = saved.stem == "last" and done
            complete = f"{done}{wanted} epochs are complete and" if last else "no epoch is complete yet; the start is"
        print(f"\nInterrupted; {complete} kept in {shown(folder)}/checkpoints.", flush=True)
    else:
        print("\nInterrupted before the first step.", flush=True)
    print(f"Go on with: {command_to_resume(folder, arguments=arguments_to_resume(config, folder))}", flush=True)
    so_far = {name: float(value) for name, value in trainer.callback_metrics.items()}
    write_metrics(folder, {**so_far, **run_statistics(trainer, task, "interrupted")})

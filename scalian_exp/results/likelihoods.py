"""Runs beside each other by their likelihood on the same test set; a bound is called a bound."""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from rich.table import Table

from scalian_exp.commandline.shell import command_to_resume, shown
from scalian_exp.commandline.terminal import WIDTH, display
from scalian_exp.folders import ERROR
from scalian_exp.metrics.reliability import FARTHEST, doubt
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import stored_config
from scalian_exp.stored import metrics_of, read_hydra

OF_TRAINING = {"batch_size", "val_size", "train_size", "provides", "levels"}
"""what a data set's config says besides what its test images are"""


class Likelihood(NamedTuple):
    nats: float
    """−log p(x) per image, or what is known of it"""
    sign: str
    """=, ≤, or ≈ and ≲ where log Z is an estimate"""
    how: str
    interval: tuple[float, float] | None = None
    """what the estimate of log Z leaves open; its upper end is infinite where nothing is known of it"""
    binary: bool = True
    """it is one of binary pixels only: on grey ones there is no such likelihood"""


def likelihood(metrics: dict[str, Any]) -> Likelihood | None:
    """The best that a run's metrics tell of −log p(x); None if they don't."""
    estimated = "log Z by annealed importance sampling" + (f", {problem}" if (problem := doubt(metrics)) else "")
    importance = {name: m[1] for name in metrics if (m := re.fullmatch(r"test/nll_bound_iw(\d+)", name))}
    for name, sign, how in (
        ("test/nll", "=", "exact"),
        ("test/log_likelihood_exact", "=", "exact, log Z enumerated"),
        ("test/log_likelihood_bound_exact", "≤", "variational bound, log Z enumerated"),
        ("test/log_likelihood_ais", "≈", estimated),
        ("test/log_likelihood_bound_ais", "≲", f"variational bound, {estimated}"),
        *((name, "≤", f"bound by {k} importance samples") for name, k in importance.items()),
        ("test/neg_elbo", "≤", "evidence lower bound"),
    ):
        if (value := metrics.get(name)) is not None:
            nats = -value if name.startswith("test/log") else value
            binary = name != "test/nll"  # which is one of whatever values pixels have
            return Likelihood(nats, sign, how, interval(metrics, name, nats) if name.endswith("ais") else None, binary)
    return None


def interval(metrics: dict[str, Any], name: str, nats: float) -> tuple[float, float] | None:
    """What a run's estimate of log Z leaves open of −log p(x); older runs tell the relative standard error of Z."""
    low, high, error = (metrics.get(key) for key in (f"{name}_high", f"{name}_low", "test/ais_standard_error"))
    if low is not None:
        return -low, math.inf if high is None else -high
    if error is None:
        return None
    arm = -math.log(1 - 3 * error) if 3 * error < 1 else math.inf
    return nats - min(arm, FARTHEST), nats + arm


def compared(runs: list[Path]) -> list[tuple[str, Likelihood, dict[str, Any]]]:
    """What each run is called, several of one model with their folders; its likelihood and metrics; the best first.

    Raises:
        Refusal: if a run has none, its pixels are no binary ones or values, or runs were tested on different images.
    """
    found, images = [], {}
    for run in runs:
        config, metrics = stored_config(run), metrics_of(run)
        if metrics.get("status") != "finished":
            raise Refusal(f"{run} isn't finished; go on with it: {command_to_resume(run)}")
        if (told := likelihood(metrics)) is None:
            raise Refusal(f"{run} reports no likelihood; leave it out.")
        provides = config.dataset.get("provides", [])
        kind = str(OmegaConf.select(config, "loss.likelihood._target_", default="Bernoulli"))
        if told.binary and ("binary" not in provides or not kind.endswith("Bernoulli")):
            raise Refusal(
                f"{run} tells no likelihood of black and white pixels, but of grey ones or a density; leave it out."
            )
        if config.trainer.get("limit_test_batches", 1.0) not in (None, 1.0):
            raise Refusal(f"{run} was tested on a part of the test images (trainer.limit_test_batches); leave it out.")
        images[run] = {key: value for key, value in config.dataset.items() if key not in OF_TRAINING}
        if images[run] != images[runs[0]]:
            raise Refusal(
                f"{run} and {runs[0]} were tested on different images ({images[run]['_target_']} and "
                f"{images[runs[0]]['_target_']}, or other settings of it); compare runs on the same ones."
            )
        found.append((model_of(run, config), told, metrics))
    names = [name for name, _, _ in found]
    called = [name if names.count(name) == 1 else f"{name}: {run.name}" for name, run in zip(names, runs, strict=True)]
    return sorted(
        ((name, told, metrics) for name, (_, told, metrics) in zip(called, found, strict=True)),
        key=lambda row: row[1].nats,
    )


def model_of(run: Path, config: Any) -> str:
    """The model that the command line named, or its network's class."""
    if (hydra := read_hydra(run)) is None:
        return str(config.model.network._target_).rpartition(".")[2]
    choices = hydra["runtime"]["choices"]
    return str(choices.get("experiment") or choices["model"])


def training_examples(metrics: dict[str, Any]) -> int | None:
    """How many examples a run learned from; of older runs, which don't say so, how many an epoch had."""
    if (count := metrics.get("training_examples")) is not None:
        return int(count)
    rate, seconds = metrics.get("samples_per_second"), metrics.get("seconds_per_epoch")
    return round(rate * seconds) if rate and seconds else None


def as_text(told: Likelihood) -> str:
    """The figure with its sign and, in brackets, its interval."""
    if told.interval is None:
        return f"{told.sign} {told.nats:.2f}"
    low, high = told.interval
    upper = "?" if math.isinf(high) else f"{high:.2f}"
    return f"{told.sign} {told.nats:.2f} ({low:.2f} to {upper})"


def print_likelihoods(runs: list[Path]) -> None:
    """Print the table of runs, best first; jobs of a sweep that failed are left out, with a line that says so.

    Raises:
        Refusal: if a run can't be compared, or all failed.
    """
    failed = [run for run in runs if (run / ERROR).is_file()]
    runs = [run for run in runs if run not in failed]
    if not runs:
        raise Refusal(f"All of these jobs failed; {failed[0] / ERROR} tells why the first one did.")
    table = Table(title="−log p(x), nats per test image")
    for name in ("model", "nats", "what it is", "training images", "parameters", "training"):
        table.add_column(name, justify="left" if name in ("model", "what it is") else "right", overflow="fold")
    for model, told, metrics in compared(runs):
        minutes = metrics.get("seconds_per_epoch", 0) * metrics.get("epochs", 0) / 60
        sizes = (training_examples(metrics), metrics["parameters"])
        shown_sizes = ["?" if size is None else f"{size:,}" for size in sizes]
        table.add_row(model, as_text(told), told.how, *shown_sizes, f"{minutes:.0f} min")
    display(table, WIDTH)
    print(f"runs  {', '.join(shown(run) for run in runs)}")
    if failed:
        print(f"left out, since they failed: {', '.join(map(shown, failed))}")

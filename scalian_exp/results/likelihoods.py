"""Compare runs by their likelihood of the same test images, with bounds and estimates marked as such."""

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

OF_TRAINING = {"batch_size", "val_size", "train_size", "provides", "levels", "fold", "balanced", "augmentation"}
OF_TRAINING |= {"num_workers", "cache", "cache_gb"}
"""keys of a data set's config that don't affect its test images"""


class Likelihood(NamedTuple):
    """A model's −log p(x), exact, bounded or estimated."""

    nats: float
    """−log p(x) per image, or its bound or estimate"""
    sign: str
    """= or ≤; ≈ or ≲ if log Z is an estimate"""
    how: str
    """how it was computed"""
    interval: tuple[float, float] | None = None
    """interval due to the estimate of log Z; its upper end is infinite if it is unknown"""
    binary: bool = True
    """whether it is a likelihood only if pixels are binary"""


def likelihood(metrics: dict[str, Any]) -> Likelihood | None:
    """Return the best value of −log p(x) among a run's metrics; None if there is none."""
    estimated = "log Z by annealed importance sampling" + (f", {problem}" if (problem := doubt(metrics)) else "")
    importance = {name: int(m[1]) for name in metrics if (m := re.fullmatch(r"test/nll_bound_iw(\d+)", name))}
    tightest_first = sorted(importance.items(), key=lambda bound: -bound[1])
    for name, sign, how in (
        ("test/nll", "=", "exact"),
        ("test/log_likelihood_exact", "=", "exact, log Z enumerated"),
        ("test/log_likelihood_bound_exact", "≤", "variational bound, log Z enumerated"),
        ("test/log_likelihood_ais", "≈", estimated),
        ("test/log_likelihood_bound_ais", "≲", f"variational bound, {estimated}"),
        *((name, "≤", f"bound by {k} importance samples") for name, k in tightest_first),
        ("test/neg_elbo", "≤", "evidence lower bound"),
    ):
        if (value := metrics.get(name)) is not None:
            nats = -value if name.startswith("test/log") else value
            binary = name != "test/nll"  # test/nll is a likelihood of any pixel values
            return Likelihood(nats, sign, how, interval(metrics, name, nats) if name.endswith("ais") else None, binary)
    return None


def interval(metrics: dict[str, Any], name: str, nats: float) -> tuple[float, float] | None:
    """Return the interval of −log p(x) due to the estimate of log Z; older runs have only Z's relative error."""
    low, high, error = (metrics.get(key) for key in (f"{name}_high", f"{name}_low", "test/ais_standard_error"))
    if low is not None:
        return -low, math.inf if high is None else -high
    if error is None:
        return None
    arm = -math.log(1 - 3 * error) if 3 * error < 1 else math.inf
    return nats - min(arm, FARTHEST), nats + arm


def compared(runs: list[Path]) -> list[tuple[str, Likelihood, dict[str, Any]]]:
    """Return the name, likelihood and metrics of each run, the best first.

    Runs of the same model have their folders in their names.

    Raises:
        Refusal: if a run has no likelihood of pixel values, or runs were tested on different images.
    """
    results, images = [], {}
    for run in runs:
        config, metrics = stored_config(run), metrics_of(run)
        if metrics.get("status") != "finished":
            raise Refusal(f"{run} isn't finished; resume it: {command_to_resume(run)}")
        if (result := likelihood(metrics)) is None:
            raise Refusal(f"{run} reports no likelihood; leave it out.")
        provides = config.dataset.get("provides", [])
        kind = str(OmegaConf.select(config, "loss.likelihood._target_", default="Bernoulli"))
        if result.binary and ("binary" not in provides or not kind.endswith("Bernoulli")):
            raise Refusal(
                f"{run} reports a likelihood of grey pixels or a density, not of black and white pixels; leave it out."
            )
        if config.trainer.get("limit_test_batches", 1.0) not in (None, 1.0):
            raise Refusal(
                f"{run} was tested on only some of the test images (trainer.limit_test_batches); leave it out."
            )
        images[run] = {key: value for key, value in config.dataset.items() if key not in OF_TRAINING}
        if images[run] != images[runs[0]]:
            raise Refusal(
                f"{run} and {runs[0]} were tested on different images ({images[run]['_target_']} and "
                f"{images[runs[0]]['_target_']}, or with other settings); compare runs on the same images."
            )
        results.append((model_of(run, config), result, metrics))
    names = [name for name, _, _ in results]
    called = [name if names.count(name) == 1 else f"{name}: {run.name}" for name, run in zip(names, runs, strict=True)]
    return sorted(
        ((name, result, metrics) for name, (_, result, metrics) in zip(called, results, strict=True)),
        key=lambda row: row[1].nats,
    )


def model_of(run: Path, config: Any) -> str:
    """Return the experiment or model that the command line named, or else the network's class."""
    if (hydra := read_hydra(run)) is None:
        return str(config.model.network._target_).rpartition(".")[2]
    choices = hydra["runtime"]["choices"]
    return str(choices.get("experiment") or choices["model"])


def training_examples(metrics: dict[str, Any]) -> int | None:
    """Return the number of a run's training examples; for older runs, the number of examples in an epoch."""
    if (count := metrics.get("training_examples")) is not None:
        return int(count)
    rate, seconds = metrics.get("samples_per_second"), metrics.get("seconds_per_epoch")
    return round(rate * seconds) if rate and seconds else None


def training_seconds(metrics: dict[str, Any]) -> float | None:
    """Return how long a run trained; for older runs, the median of an epoch times their number."""
    seconds, epochs = metrics.get("seconds_per_epoch"), metrics.get("epochs")
    estimate = None if seconds is None or epochs is None else seconds * epochs
    total: float | None = metrics.get("training_seconds", estimate)
    return total


def as_text(result: Likelihood) -> str:
    """Format a likelihood with its sign and, in brackets, its interval."""
    if result.interval is None:
        return f"{result.sign} {result.nats:.2f}"
    low, high = result.interval
    upper = "?" if math.isinf(high) else f"{high:.2f}"
    return f"{result.sign} {result.nats:.2f} ({low:.2f} to {upper})"


def print_likelihoods(runs: list[Path]) -> None:
    """Print a table of runs, the best first, and a line that names failed jobs, which are left out.

    Raises:
        Refusal: if a run can't be compared, or all failed.
    """
    failed = [run for run in runs if (run / ERROR).is_file()]
    runs = [run for run in runs if run not in failed]
    if not runs:
        raise Refusal(f"All of these jobs failed; {failed[0] / ERROR} says why the first one did.")
    table = Table(title="−log p(x), nats per test image")
    for name in ("model", "nats", "what it is", "training images", "parameters", "training"):
        table.add_column(name, justify="left" if name in ("model", "what it is") else "right", overflow="fold")
    for model, result, metrics in compared(runs):
        seconds = training_seconds(metrics)
        training = "?" if seconds is None else f"{seconds / 60:.0f} min"
        sizes = (training_examples(metrics), metrics["parameters"])
        shown_sizes = ["?" if size is None else f"{size:,}" for size in sizes]
        table.add_row(model, as_text(result), result.how, *shown_sizes, training)
    display(table, WIDTH)
    print(f"runs  {', '.join(shown(run) for run in runs)}")
    if failed:
        print(f"left out because they failed: {', '.join(map(shown, failed))}")

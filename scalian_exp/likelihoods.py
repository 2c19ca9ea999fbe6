"""Runs beside each other by their likelihood on the same test set; a bound is called a bound."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from rich.table import Table

from scalian_exp.refusal import Refusal
from scalian_exp.resume import stored_config
from scalian_exp.shell import command_to_resume, shown
from scalian_exp.stored import metrics_of, read_hydra
from scalian_exp.terminal import WIDTH, display

OF_TRAINING = {"batch_size", "val_size", "train_size", "provides", "levels"}
"""what a data set's config says besides what its test images are"""
RELIABLE = 5
"""effective runs of annealed importance sampling, below which its estimate of log Z isn't to be trusted"""


class Likelihood(NamedTuple):
    nats: float
    """−log p(x) per image, or what is known of it"""
    sign: str
    """=, ≤ or ≈"""
    error: float | None
    """standard error of the estimate of log Z, if there is one in it"""
    how: str
    binary: bool = True
    """it is one of binary pixels only: on grey ones there is no such likelihood"""


def likelihood(metrics: dict[str, Any]) -> Likelihood | None:
    """The best that a run's metrics tell of −log p(x); None if they don't."""
    error, runs = metrics.get("test/ais_standard_error"), metrics.get("test/ais_effective_runs")
    doubt = "" if runs is None or runs >= RELIABLE else f", NOT to be trusted: {runs:.1f} effective runs"
    importance = {name: m[1] for name in metrics if (m := re.fullmatch(r"test/nll_bound_iw(\d+)", name))}
    for name, sign, how in (
        ("test/nll", "=", "exact"),
        ("test/log_likelihood_exact", "=", "exact, log Z enumerated"),
        ("test/log_likelihood_bound_exact", "≤", "variational bound, log Z enumerated"),
        ("test/log_likelihood_ais", "≈", f"log Z estimated by annealed importance sampling{doubt}"),
        ("test/log_likelihood_bound_ais", "≤", f"variational bound, log Z estimated{doubt}"),
        *((name, "≤", f"bound by {k} importance samples") for name, k in importance.items()),
        ("test/neg_elbo", "≤", "evidence lower bound"),
    ):
        if (value := metrics.get(name)) is not None:
            log = name.startswith("test/log")
            exact = name == "test/nll"  # of whatever values pixels have
            return Likelihood(-value if log else value, sign, error if name.endswith("ais") else None, how, not exact)
    return None


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


def print_likelihoods(runs: list[Path]) -> None:
    table = Table(title="−log p(x), nats per test image")
    for name, justify in (("model", "left"), ("nats", "right"), ("what it is", "left"), ("parameters", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_column("training", justify="right")
    for model, told, metrics in compared(runs):
        error = "" if told.error is None else f" ± {told.error:.2f}"
        minutes = metrics.get("seconds_per_epoch", 0) * metrics.get("epochs", 0) / 60
        cells = [f"{told.sign} {told.nats:.2f}{error}", told.how, f"{metrics['parameters']:,}", f"{minutes:.0f} min"]
        table.add_row(model, *cells)
    display(table, WIDTH)
    print(f"runs  {', '.join(shown(run) for run in runs)}")

"""Tables of a sweep's jobs: their overrides and results, and the means over repetitions."""

from contextlib import suppress
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scalian_exp.files import read_yaml
from scalian_exp.folders import COMPOSED, ERROR, OVERRIDES, begun_in_python, job_number
from scalian_exp.metrics.counters import counts
from scalian_exp.metrics.reliability import remark
from scalian_exp.refusal import Refusal
from scalian_exp.stored import OF_HYDRA, metrics_of, model_and_data, read_config, read_overrides

COLUMNS = (
    *("parameters", "gmacs", "activations_mb_per_sample"),
    *("epochs", "seconds_per_epoch", "training_seconds", "samples_per_second", "inference_ms_per_sample"),
)
"""columns after the metrics"""
COSTS = ("inference_ms_per_sample", "seconds_per_epoch")
"""costs against which quality is plotted if models differ"""
NAMED = 3
"""models, and data sets, of a sweep that a figure's title names; of more it tells how many there are"""
OBJECTIVES = {"loss", "free_energy"}
"""metrics whose values depend on the loss or on an unknown constant"""


def read_jobs(sweep: Path) -> list[dict[str, Any]]:
    """Read the overrides and results of a sweep's jobs, in their order; see `read_job`."""
    folders = sorted((file.parents[1] for file in sweep.glob(f"*/{OVERRIDES}")), key=job_number)
    return [read_job(folder) for folder in folders]


def read_job(folder: Path) -> dict[str, Any]:
    """Read a run's `overrides`, its `outcome` (metrics and a status) and its `repeats` (keys that repeat jobs)."""
    unrecorded = begun_in_python(folder)
    given = [] if unrecorded else read_overrides(folder)
    overrides = dict(override.split("=", 1) for override in given if "=" in override)
    failed = folder / ERROR
    outcome = {"status": "failed"} if failed.exists() else metrics_of(folder) or {"status": "unfinished"}
    repeats = None if unrecorded else read_yaml(folder / COMPOSED, advice=OF_HYDRA).get("repeats")
    return {
        "folder": folder,
        "overrides": overrides,
        "outcome": outcome,
        "repeats": repeats if isinstance(repeats, list) else [],
    }


def swept(jobs: list[dict[str, Any]]) -> list[str]:
    """Return the keys of the overrides in which the jobs differ."""
    keys = {key: None for job in jobs for key in job["overrides"]}
    return [key for key in keys if len({job["overrides"].get(key) for job in jobs}) > 1]


def names_of(jobs: list[dict[str, Any]]) -> str:
    """Return the names of the jobs' models and data sets, such as "ae, vae on mnist"; of many, how many there are."""
    pairs = []
    for job in jobs:
        with suppress(Refusal):  # a job that failed early may have no config
            pairs.append(model_and_data(job["folder"], read_config(job["folder"])))
    kinds = [list(dict.fromkeys(names)) for names in zip(*pairs, strict=True)]
    texts = [
        ", ".join(names) if len(names) <= NAMED else f"{len(names)} {kind}"
        for names, kind in zip(kinds, ("models", "data sets"), strict=False)
    ]
    return " on ".join(texts)


def rows(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one dictionary a job: what was swept, status, all test metrics, then time and size."""
    keys = swept(jobs)
    metrics = list({name: None for job in jobs for name in job["outcome"] if name.startswith("test/")})
    table = []
    for job in jobs:
        outcome = job["outcome"]
        row = {"job": job_number(job["folder"]), **{key: job["overrides"].get(key, "") for key in keys}}
        row |= {"status": outcome["status"]}
        if not counts(outcome.get("monitor", "")):
            row |= {f"best {outcome.get('monitor', '')}": outcome.get("best")}
        table.append(row | {name: outcome.get(name) for name in (*metrics, *COLUMNS)})
    columns = list({name: None for row in table for name in row if name != "best "})
    return [{name: row.get(name) for name in columns} for row in table]


def comparable(table: list[dict[str, Any]], keys: list[str]) -> list[str]:
    """Return the metrics that help to compare jobs: those of every finished job, and each job's own.

    A job's own are the one that says most about it, and its best monitored one. Values of the loss itself can't be
    compared if the model or the loss was swept, and counters of epochs never. All metrics if none is left.
    """
    finished = [row for row in table if row["status"] == "finished"] or table
    metrics = [name for name in table[0] if name.startswith(("best ", "test/"))]
    metrics = [name for name in metrics if not counts(name)] or metrics
    if any(key == "model" or key.partition(".")[0] == "loss" for key in keys):
        metrics = [name for name in metrics if not name.endswith("/loss")]
    own = {name for row in finished for name in own_metrics(row)}
    return [name for name in metrics if name in own or all(row[name] is not None for row in finished)] or metrics


def own_metrics(row: dict[str, Any]) -> set[str]:
    """Return the names of the metrics of a row of `rows` that say most about its job, in the test and in validation."""
    known = {name: value for name, value in row.items() if value is not None}
    best = next((name for name in known if name.startswith("best ")), "")
    chosen = headline({**known, "monitor": best.removeprefix("best "), "best": known.get(best)})
    return {best, *(chosen or ())[:1]}


def most_shared(table: list[dict[str, Any]], metrics: list[str]) -> str:
    """Return the metric that most jobs have; among several, a monitored one's name in the test, or else the first."""
    monitored = [name.replace("best val/", "test/") for name in table[0] if name.startswith("best val/")]
    names = [*(name for name in monitored if name in metrics), *metrics]
    return max(names, key=lambda name: sum(row.get(name) is not None for row in table))


def headline(outcome: dict[str, Any]) -> tuple[str, Any] | None:
    """Return name and value of the metric of metrics.json that says most about a run; None if there is none.

    It is the monitored metric of the test or, if that is the loss, the test's first whose values mean something by
    themselves. Without a test it is the best in validation.
    """
    monitor = outcome.get("monitor", "")
    own = monitor.replace("val/", "test/")
    tested = [name for name in outcome if name.startswith("test/")]
    telling = [name for name in tested if name.partition("/")[2] not in OBJECTIVES]
    chosen = next((name for name in (own, *telling) if name in telling), own if own in tested else None)
    if chosen:
        return chosen, outcome[chosen]
    return None if counts(monitor) or outcome.get("best") is None else (monitor, outcome["best"])


def repeated(jobs: list[dict[str, Any]]) -> list[str]:
    """Return the swept keys that only repeat jobs, such as the seed."""
    return [key for key in swept(jobs) if all(key in job["repeats"] for job in jobs)]


def means(table: list[dict[str, Any]], keys: list[str], metrics: list[str]) -> list[dict[str, Any]]:
    """Return one dictionary for each group of finished jobs that agree in the keys.

    It holds the keys, the number of jobs, the mean of each metric and, as `<metric> ±`, the sample standard deviation.
    If some finished jobs have no value of a metric, `<metric> jobs` is the number of those that have.
    """
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in table:
        if row["status"] == "finished":
            groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    finished = [row for members in groups.values() for row in members]
    partial = {metric for metric in metrics if len({row[metric] is None for row in finished}) > 1}
    lines = []
    for group, members in groups.items():
        line = {**dict(zip(keys, group, strict=True)), "jobs": len(members)}
        for metric in metrics:
            values = [row[metric] for row in members if row[metric] is not None]
            line |= {metric: mean(values) if values else None}
            line |= {f"{metric} ±": stdev(values) if len(values) > 1 else None}
            line |= {f"{metric} jobs": len(values)} if metric in partial else {}
        lines.append(line)
    return lines


def cell(value: Any) -> str:
    """Format a value for a table; None is empty."""
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def cell_of(row: dict[str, Any], name: str) -> str:
    """Format a metric of a row, marked if it is unreliable."""
    return f"{cell(row[name])} (unreliable)" if remark(name, row) else cell(row[name])

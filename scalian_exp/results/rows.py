"""What the jobs of a sweep were told and what came out, as rows of a table."""

from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scalian_exp.files import read_yaml
from scalian_exp.folders import COMPOSED, ERROR, OVERRIDES, job_number
from scalian_exp.metrics.reliability import remark
from scalian_exp.stored import OF_HYDRA, metrics_of, read_overrides

FACTS = (
    *("parameters", "gmacs", "activations_mb_per_sample"),
    *("epochs", "seconds_per_epoch", "samples_per_second", "inference_ms_per_sample"),
)
"""shown after the metrics"""
COSTS = ("inference_ms_per_sample", "seconds_per_epoch")
"""what quality is drawn against where models differ"""


def read_jobs(sweep: Path) -> list[dict[str, Any]]:
    """What each job of a sweep was told and what came out, in the order of the jobs."""
    folders = sorted((file.parents[1] for file in sweep.glob(f"*/{OVERRIDES}")), key=job_number)
    return [read_job(folder) for folder in folders]


def read_job(folder: Path) -> dict[str, Any]:
    """The same of a run folder."""
    said = dict(override.split("=", 1) for override in read_overrides(folder) if "=" in override)
    failed = folder / ERROR
    outcome = {"status": "failed"} if failed.exists() else metrics_of(folder) or {"status": "unfinished"}
    repeats = read_yaml(folder / COMPOSED, advice=OF_HYDRA).get("repeats")
    return {
        "folder": folder,
        "overrides": said,
        "outcome": outcome,
        "repeats": repeats if isinstance(repeats, list) else [],
    }


def swept(jobs: list[dict[str, Any]]) -> list[str]:
    """The overrides in which the jobs differ."""
    keys = {key: None for job in jobs for key in job["overrides"]}
    return [key for key in keys if len({job["overrides"].get(key) for job in jobs}) > 1]


def rows(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One dict a job: what was swept, status, every test metric, then time and size."""
    keys = swept(jobs)
    metrics = list({name: None for job in jobs for name in job["outcome"] if name.startswith("test/")})
    table = []
    for job in jobs:
        outcome = job["outcome"]
        row = {"job": job_number(job["folder"]), **{key: job["overrides"].get(key, "") for key in keys}}
        row |= {"status": outcome["status"], "best " + outcome.get("monitor", ""): outcome.get("best")}
        table.append(row | {name: outcome.get(name) for name in (*metrics, *FACTS)})
    columns = list({name: None for row in table for name in row if name != "best "})
    return [{name: row.get(name) for name in columns} for row in table]


def comparable(table: list[dict[str, Any]], keys: list[str]) -> list[str]:
    """The metrics that every finished job has, or if they share none, all. Where the model or its loss was swept,
    values of the loss itself can't be compared."""
    finished = [row for row in table if row["status"] == "finished"] or table
    metrics = [name for name in table[0] if name.startswith(("best ", "test/"))]
    if any(key == "model" or key.partition(".")[0] == "loss" for key in keys):
        metrics = [name for name in metrics if not name.endswith("/loss")]
    return [name for name in metrics if all(row[name] is not None for row in finished)] or metrics


def tested(table: list[dict[str, Any]], metrics: list[str]) -> str:
    """The monitored metric as the test tells it, else the first one."""
    monitored = next((name for name in table[0] if name.startswith("best val/")), "")
    name = monitored.replace("best val/", "test/")
    return name if name in metrics else metrics[0]


def repeated(jobs: list[dict[str, Any]]) -> list[str]:
    """What was swept, but only repeats the jobs."""
    return [key for key in swept(jobs) if all(key in job["repeats"] for job in jobs)]


def means(table: list[dict[str, Any]], keys: list[str], metrics: list[str]) -> list[dict[str, Any]]:
    """One dict for all finished jobs that agree in the keys: these, how many jobs, and of each metric the mean and,
    under `<metric> ±`, the deviation of a single job, from the sample."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in table:
        if row["status"] == "finished":
            groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    found = []
    for group, members in groups.items():
        line = {**dict(zip(keys, group, strict=True)), "jobs": len(members)}
        for metric in metrics:
            values = [row[metric] for row in members if row[metric] is not None]
            line |= {metric: mean(values) if values else None}
            line |= {f"{metric} ±": stdev(values) if len(values) > 1 else None}
        found.append(line)
    return found


def cell(value: Any) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def cell_of(row: dict[str, Any], name: str) -> str:
    """One of a row's metrics, marked if it is unreliable."""
    return f"{cell(row[name])} (unreliable)" if remark(name, row) else cell(row[name])

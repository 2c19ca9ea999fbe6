"""The summary of a sweep: one row a job, as a table, summary.csv, summary.md and a plot; and where the sweep went over
something that only repeats a job (`repeats` in configs/train.yaml), means and deviations, also as summary_means.csv."""

import csv
import io
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.table import Table

from scalian_exp.files import read_yaml, write_text
from scalian_exp.folders import job_number
from scalian_exp.reliability import remark
from scalian_exp.resume_sweep import command_to_go_on
from scalian_exp.shell import command, shown
from scalian_exp.stored import OF_HYDRA, metrics_of, read_overrides
from scalian_exp.terminal import WIDTH, display

FACTS = (
    *("parameters", "gmacs", "activations_mb_per_sample"),
    *("epochs", "seconds_per_epoch", "samples_per_second", "inference_ms_per_sample"),
)
"""shown after the metrics"""
COSTS = ("inference_ms_per_sample", "seconds_per_epoch")
"""what quality is drawn against where models differ"""


def read_jobs(sweep: Path) -> list[dict[str, Any]]:
    """What each job of a sweep was told and what came out, in the order of the jobs."""
    folders = sorted((file.parents[1] for file in sweep.glob("*/.hydra/overrides.yaml")), key=job_number)
    return [read_job(folder) for folder in folders]


def read_job(folder: Path) -> dict[str, Any]:
    """The same of a run folder."""
    said = dict(override.split("=", 1) for override in read_overrides(folder) if "=" in override)
    failed = folder / "error.txt"
    outcome = {"status": "failed"} if failed.exists() else metrics_of(folder) or {"status": "unfinished"}
    repeats = read_yaml(folder / ".hydra/config.yaml", advice=OF_HYDRA).get("repeats")
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


def as_csv(table: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def with_deviations(table: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The rows of `means` with each deviation beside its mean."""
    return [
        {
            name: cell_of(row, name) + (f" ± {row[f'{name} ±']:.2g}" if row.get(f"{name} ±") is not None else "")
            for name in row
            if not name.endswith(" ±")
        }
        for row in table
    ]


def as_markdown(columns: list[str], rows: list[dict[str, Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *[[cell_of(row, name) for name in columns] for row in rows]]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def print_rows(title: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    printed = Table(title=title)
    for name in columns:
        printed.add_column(name.removeprefix("test/"), justify="right", overflow="fold")
    for row in rows:
        printed.add_row(*[cell_of(row, name) for name in columns])
    display(printed, WIDTH)


def cell(value: Any) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def cell_of(row: dict[str, Any], name: str) -> str:
    """One of a row's metrics, marked if it is unreliable."""
    return f"{cell(row[name])} (unreliable)" if remark(name, row) else cell(row[name])


def summarise(sweep: Path) -> int:
    """Print and write the summary of a sweep's folder.

    Returns:
        The number of jobs that failed.
    """
    from scalian_exp.dashboard import compare_jobs
    from scalian_exp.figures.sweep import sweep_figure, trade_off

    jobs = read_jobs(sweep)
    table = rows(jobs)
    if not table:
        return 0
    columns = list(table[0])
    markdown = as_markdown(columns, table)
    write_text(sweep / "summary.csv", as_csv(table))

    metrics = comparable(table, swept(jobs))
    whole = [name for name in metrics if name.count("/") == 1]  # what is told class by class stands in the files
    lengths = {row["epochs"] for row in table if row["status"] == "finished"}
    facts = {"status", "seconds_per_epoch", *(["epochs"] if len(lengths) > 1 else [])}  # some may have been ended early
    shown_columns = [name for name in columns if name in {*facts, *swept(jobs), *whole}]
    print_rows(f"{len(table)} jobs", shown_columns, table)
    kept = [key for key in swept(jobs) if key not in repeated(jobs)]
    averages = means(table, kept, [*whole, *[cost for cost in COSTS if cost in columns]]) if repeated(jobs) else []
    if averages:
        over = " and ".join(repeated(jobs))
        told = with_deviations(averages)
        print_rows(f"mean ± deviation over {over}", list(told[0]), told)
        markdown += f"\nMean ± deviation over {over}:\n\n{as_markdown(list(told[0]), told)}"
        write_text(sweep / "summary_means.csv", as_csv(averages))
    write_text(sweep / "summary.md", markdown)
    compare_jobs(sweep, [name.removeprefix("best ") for name in whole])

    drawn, keys = (averages, kept) if len(averages) > 1 else (table, swept(jobs))
    figures = {"summary": sweep_figure(drawn, keys, whole)}
    if metrics and any(key.startswith("model") for key in swept(jobs)):
        metric = tested(table, metrics)
        figures |= {f"over_{cost}": trade_off(drawn, keys, metric, cost) for cost in COSTS}
    for name, figure in figures.items():
        if figure is not None:
            figure.savefig(sweep / f"{name}.png", dpi=110)
            print(f"plot      {shown(sweep / f'{name}.png')}")
    print(f"summary   {shown(sweep / 'summary.csv')}, {shown(sweep / 'summary.md')}")
    print(f"dashboard {command('tensorboard', '--logdir', shown(sweep))}")
    failed = [job for job in jobs if job["outcome"]["status"] != "finished"]
    for job in failed:
        error = job["folder"] / "error.txt"
        print(f"{job['outcome']['status']:12} {shown(error if error.exists() else job['folder'])}")
    if failed:
        print(f"go on     {command_to_go_on(sweep)}")
    return len(failed)

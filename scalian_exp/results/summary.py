"""The summary of a sweep: one row a job, as a table, summary.csv, summary.md and a plot; and where the sweep went over
something that only repeats a job (`repeats` in configs/train.yaml), means and deviations, also as summary_means.csv."""

import csv
import io
from pathlib import Path
from typing import Any

from rich.table import Table

from scalian_exp.commandline.shell import command, shown
from scalian_exp.commandline.terminal import WIDTH, display
from scalian_exp.files import write_text
from scalian_exp.folders import ERROR, MARKDOWN, MEANS, TABLE
from scalian_exp.results.rows import COSTS, cell_of, comparable, means, read_jobs, repeated, rows, swept, tested


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


def summarise(sweep: Path, go_on: str) -> int:
    """Print and write the summary of a sweep's folder.

    Args:
        go_on: the command that goes on with the sweep, if jobs have failed.

    Returns:
        The number of jobs that failed.
    """
    from scalian_exp.figures.sweep import sweep_figure, trade_off
    from scalian_exp.results.hparams import compare_jobs

    jobs = read_jobs(sweep)
    table = rows(jobs)
    if not table:
        return 0
    columns = list(table[0])
    markdown = as_markdown(columns, table)
    write_text(sweep / TABLE, as_csv(table))

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
        write_text(sweep / MEANS, as_csv(averages))
    write_text(sweep / MARKDOWN, markdown)
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
    print(f"summary   {shown(sweep / TABLE)}, {shown(sweep / MARKDOWN)}")
    print(f"dashboard {command('tensorboard', '--logdir', shown(sweep))}")
    failed = [job for job in jobs if job["outcome"]["status"] != "finished"]
    for job in failed:
        error = job["folder"] / ERROR
        print(f"{job['outcome']['status']:12} {shown(error if error.exists() else job['folder'])}")
    if failed:
        print(f"go on     {go_on}")
    return len(failed)

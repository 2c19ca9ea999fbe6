"""Summarize a sweep with one row a job, as a table on the terminal, summary.csv, summary.md and a plot.

If the sweep goes over something that only repeats a job (`repeats` in configs/train.yaml), there are also means and
standard deviations, in summary_means.csv.
"""

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from scalian_exp.commandline.shell import command, shown
from scalian_exp.commandline.terminal import WIDTH, display
from scalian_exp.files import write_text
from scalian_exp.folders import ERROR, MARKDOWN, MEANS, TABLE
from scalian_exp.results.rows import (
    COSTS,
    cell_of,
    comparable,
    means,
    most_shared,
    names_of,
    read_jobs,
    repeated,
    rows,
    swept,
)


def as_csv(table: list[dict[str, Any]]) -> str:
    """Format rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def with_deviations(table: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the rows of `means` as text, with each deviation beside its mean, and how many jobs had a value."""
    return [{name: mean_text(row, name) for name in row if not name.endswith((" ±", " jobs"))} for row in table]


def mean_text(row: dict[str, Any], name: str) -> str:
    """Return an entry of a row of `means` as text."""
    deviation, having = row.get(f"{name} ±"), row.get(f"{name} jobs", row["jobs"])
    spread = "" if deviation is None else f" ± {deviation:.2g}"
    return cell_of(row, name) + spread + (f" ({having} of {row['jobs']} jobs)" if 0 < having < row["jobs"] else "")


def as_markdown(columns: list[str], rows: list[dict[str, Any]]) -> str:
    """Format rows as a Markdown table."""
    lines = [columns, ["---"] * len(columns), *[[cell_of(row, name) for name in columns] for row in rows]]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def print_rows(title: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    printed = Table(title=title)
    for name in columns:
        printed.add_column(name.removeprefix("test/"), justify="right", overflow="fold")
    for row in rows:
        printed.add_row(*[cell_of(row, name) for name in columns])
    display(printed, WIDTH)


class Summary(NamedTuple):
    """The tables of a sweep, and the names in them."""

    rows: list[dict[str, Any]]
    """one a job"""
    swept: list[str]
    """keys in which the jobs differ"""
    varied: list[str]
    """keys in which more than repetitions differ"""
    metrics: list[str]
    """metrics by which the jobs can be compared"""
    means: list[dict[str, Any]]
    """one for each group of repetitions; empty if nothing was repeated"""

    @property
    def overall(self) -> list[str]:
        """Metrics without those of single classes, which only the files have."""
        return [name for name in self.metrics if name.count("/") == 1]

    @property
    def repeated(self) -> str:
        """Keys over which the means are taken."""
        return " and ".join(key for key in self.swept if key not in self.varied)


def summary_of(jobs: list[dict[str, Any]]) -> Summary:
    """Compute the tables of a sweep from what `read_jobs` returned, at least one job."""
    table, keys, repeats = rows(jobs), swept(jobs), repeated(jobs)
    varied = [key for key in keys if key not in repeats]
    summary = Summary(table, keys, varied, comparable(table, keys), [])
    averaged = [*summary.overall, *(cost for cost in COSTS if cost in table[0])]
    return summary._replace(means=means(table, varied, averaged)) if repeats else summary


def print_summary(summary: Summary) -> None:
    """Print the tables, with the columns that help to compare the jobs."""
    lengths = {row["epochs"] for row in summary.rows if row["status"] == "finished"}
    columns = {"status", "seconds_per_epoch", *summary.swept, *summary.overall}
    columns |= {"epochs"} if len(lengths) > 1 else set()  # some jobs may have been stopped early
    print_rows(f"{len(summary.rows)} jobs", [name for name in summary.rows[0] if name in columns], summary.rows)
    if summary.means:
        texts = with_deviations(summary.means)
        print_rows(f"mean ± deviation over {summary.repeated}", list(texts[0]), texts)


def write_summary(summary: Summary, sweep: Path) -> None:
    """Write the tables into the sweep's folder, as CSV and Markdown."""
    write_text(sweep / TABLE, as_csv(summary.rows))
    markdown = as_markdown(list(summary.rows[0]), summary.rows)
    if summary.means:
        texts = with_deviations(summary.means)
        markdown += f"\nMean ± deviation over {summary.repeated}:\n\n{as_markdown(list(texts[0]), texts)}"
        write_text(sweep / MEANS, as_csv(summary.means))
    write_text(sweep / MARKDOWN, markdown)


def draw_summary(summary: Summary, sweep: Path, jobs: str) -> None:
    """Plot the metrics over what was swept and, if models differ, over their costs.

    Args:
        summary: of the sweep.
        sweep: the folder.
        jobs: models and data sets, for the titles.
    """
    from scalian_exp.figures.png import as_png
    from scalian_exp.figures.sweep import sweep_figure, trade_off
    from scalian_exp.figures.titles import titled

    drawn, keys = (summary.means, summary.varied) if len(summary.means) > 1 else (summary.rows, summary.swept)
    figures = {"summary": sweep_figure(drawn, keys, summary.overall)}
    if summary.metrics and any(key.startswith("model") for key in summary.swept):
        metric = most_shared(summary.rows, summary.metrics)
        figures |= {f"over_{cost}": trade_off(drawn, keys, metric, cost) for cost in COSTS}
    for name, figure in figures.items():
        if figure is not None:
            means = f", means over {summary.repeated}" if drawn is summary.means else ""
            (sweep / f"{name}.png").write_bytes(
                as_png(titled(figure, f"{jobs}, {len(summary.rows)} jobs{means}"), dpi=110)
            )
            print(f"plot      {shown(sweep / f'{name}.png')}")


def summarise(sweep: Path, go_on: str) -> int:
    """Print, write and draw the summary of a sweep's folder.

    Args:
        sweep: the folder.
        go_on: the command that resumes the sweep, printed if jobs have failed.

    Returns:
        The number of jobs that failed or are unfinished.
    """
    jobs = read_jobs(sweep)
    if not jobs:
        return 0
    summary = summary_of(jobs)
    print_summary(summary)
    write_summary(summary, sweep)
    draw_summary(summary, sweep, names_of(jobs))
    print(f"summary   {shown(sweep / TABLE)}, {shown(sweep / MARKDOWN)}")
    print(f"dashboard {command('scalian-report', 'dashboard', shown(sweep))}")
    failed = [job for job in jobs if job["outcome"]["status"] != "finished"]
    for job in failed:
        error = job["folder"] / ERROR
        print(f"{job['outcome']['status']:12} {shown(error if error.exists() else job['folder'])}")
    if failed:
        print(f"go on     {go_on}")
    return len(failed)

"""Write one self-contained HTML page about runs: a sortable table, curves, figures, and each run's command.

Its template is page.html.jinja.
"""

import base64
import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scalian_exp.commandline.shell import command_to_repeat, shown
from scalian_exp.files import read_text
from scalian_exp.folders import CURVES, FIGURES, jobs_of
from scalian_exp.refusal import Refusal
from scalian_exp.results.plot import Line, plot, style
from scalian_exp.results.rows import cell_of, read_job, rows, swept

MOST_CURVES = 12
"""maximum number of plots on a page; the runs' files have the others"""


def runs_in(paths: Iterable[Path]) -> list[Path]:
    """Return the run folders that these folders are or contain, each once.

    Args:
        paths: run folders, sweeps, or other folders of runs.

    Raises:
        Refusal: if a folder contains no run.
    """
    runs: dict[Path, None] = {}
    for path in paths:
        inside = jobs_of(path)
        if not inside:
            raise Refusal(f"{path} holds no run: give run folders, or a folder of runs such as a sweep's.")
        runs |= dict.fromkeys(inside)
    return list(runs)


def page(runs: list[Path], title: str) -> str:
    """Return the HTML of a page about these runs."""
    environment = Environment(
        loader=PackageLoader("scalian_exp.results", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    jobs = [read_job(run) for run in runs]
    names = short_names(jobs)
    table = rows(jobs)
    metrics = [name for name in table[0] if name != "job" and not (name.startswith("test/") and name.count("/") > 1)]
    return environment.get_template("page.html.jinja").render(
        title=title,
        names=names,
        columns=["run", *(name.removeprefix("test/") for name in metrics)],
        table=[table_row(name, row, metrics) for name, row in zip(names, table, strict=True)],
        legend=[(name, style(number)) for number, name in enumerate(names)],
        plots=plots(runs, names),
        figures=figures(runs),
        commands=[(name, command_to_repeat(run), shown(run)) for name, run in zip(names, runs, strict=True)],
    )


def short_names(jobs: list[dict[str, Any]]) -> list[str]:
    """Return names that tell the runs apart: the values that were swept, or else their folders."""
    keys = swept(jobs)
    names = [", ".join(f"{key}={job['overrides'][key]}" for key in keys if key in job["overrides"]) for job in jobs]
    unique = all(names) and len({*names}) == len(names)
    return names if unique else [job["folder"].name for job in jobs]


def table_row(name: str, row: dict[str, Any], metrics: list[str]) -> dict[str, Any]:
    """Return a run's row, with the value to sort by and the text of each metric."""
    values = [(row[metric], cell_of(row, metric)) for metric in metrics]
    cells = [{"value": "" if value is None else value, "text": text} for value, text in values]
    return {"name": name, "finished": row["status"] == "finished", "cells": cells}


def plots(runs: list[Path], names: list[str]) -> list[tuple[str, Markup]]:
    """Return the title and plot of each metric that the runs logged, over epochs."""
    read = [curves_of(run) for run in runs]
    metrics = list({metric: None for curves in read for metric in curves})
    chosen = sorted(metrics, key=lambda metric: (not metric.startswith("val/"), metric.count("/") > 1))[:MOST_CURVES]
    drawn = []
    for metric in chosen:
        lines = [
            Line(name, style(number), curves[metric])
            for number, (name, curves) in enumerate(zip(names, read, strict=True))
            if metric in curves
        ]
        drawn.append((metric, plot(metric, lines)))
    return drawn


def curves_of(run: Path) -> dict[str, list[tuple[float, float]]]:
    """Map each metric of a run to its (epoch, value) pairs over all starts; epochs count from 1."""
    curves: dict[str, dict[float, float]] = {}
    older = sorted(run.glob("csv/version_*/metrics.csv"), key=lambda file: int(file.parent.name.partition("_")[2]))
    for file in [*older, *run.glob(CURVES)]:
        advice = "delete it to leave its curves out"
        try:
            for row in csv.DictReader(io.StringIO(read_text(file, advice))):
                for name, value in row.items():
                    if name and name.startswith(("val/", "train/")) and value:
                        curves.setdefault(name, {})[float(row["epoch"]) + 1] = float(value)
        except (csv.Error, KeyError, ValueError, TypeError) as error:
            raise Refusal(f"{file} is damaged: it is not a table of metrics; {advice}.") from error
    return {name: sorted(points.items()) for name, points in curves.items()}


def figures(runs: list[Path]) -> list[tuple[str, list[str]]]:
    """Return each figure's name and every run's picture of it in base64, empty if a run has none."""
    kinds = list({file.name: None for run in runs for file in sorted(run.glob(f"{FIGURES}/*.png"))})
    return [(kind.removesuffix(".png"), [embedded(run / FIGURES / kind) for run in runs]) for kind in kinds]


def embedded(file: Path) -> str:
    """Return a file's contents in base64; empty if there is no such file."""
    return base64.b64encode(file.read_bytes()).decode() if file.is_file() else ""

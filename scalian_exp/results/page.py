"""Write one self-contained HTML page about runs: what was best, a table, curves, figures, and each run's commands.

Its template, style and scripts are in frame/.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scalian_exp.commandline.shell import command, command_to_repeat, command_to_resume, shown, word
from scalian_exp.files import read_text
from scalian_exp.folders import ERROR, can_resume, checkpoint, jobs_of
from scalian_exp.metrics.directions import direction
from scalian_exp.pages.parts import POLICY, SCRIPT, STYLE, as_json, in_script, module
from scalian_exp.refusal import Refusal
from scalian_exp.results.columns import Column, columns
from scalian_exp.results.curves import Curves, curves_of, thinned
from scalian_exp.results.differences import differences
from scalian_exp.results.highlights import cards
from scalian_exp.results.pictures import pictures
from scalian_exp.results.rows import cell_of, names_of, read_job, swept
from scalian_exp.results.summary import Summary, summary_of, with_deviations
from scalian_exp.stored import read_config

FRAME = Path(__file__).parent / "frame"
SCRIPTS = ("runs", "table", "scales", "chart", "curves", "scatter", "parallel", "figures", "page")
"""scripts of the page, each after those that it imports"""
MOST_POINTS, ALL_POINTS = 500, 300_000
"""points of a curve, and of all curves of a page"""


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
        loader=PackageLoader("scalian_exp.results", "frame"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jobs = [read_job(run) for run in runs]
    names, summary, keys = short_names(jobs), repeated(summary_of(jobs)), swept(jobs)
    shown_columns = columns(summary)
    configs = [config_of(run) for run in runs]
    curves = [curves_of(run) for run in runs]
    figures = pictures(runs)
    finished = [row["status"] == "finished" for row in summary.rows]
    data = {
        "title": title,
        "runs": [
            {"name": name, "finished": done, "seconds": seconds_of_an_epoch(row)}
            for name, row, done in zip(names, summary.rows, finished, strict=True)
        ],
        "axes": axes(summary, keys, shown_columns),
        "curves": curves_on_page(curves, {job["outcome"].get("monitor", "") for job in jobs}),
        "kinds": figures["kinds"],
    }
    texts = with_deviations(summary.means)
    return environment.get_template("page.html.jinja").render(
        title=title,
        heading=names_of(jobs) or title,
        written=f"{datetime.now():%Y-%m-%d %H:%M}",
        names=names,
        finished=sum(finished),
        cards=cards(summary, names),
        columns=shown_columns,
        table=[
            {"name": name, "finished": done, "cells": [(row[c.name], cell_of(row, c.name)) for c in shown_columns]}
            for name, row, done in zip(names, summary.rows, finished, strict=True)
        ],
        means=[list(texts[0]), *(list(line.values()) for line in texts)] if texts else [],
        repeated=summary.repeated,
        differences=differences(configs, keys),
        has_curves=any(curves),
        kinds=figures["kinds"],
        note=figures["note"],
        commands=[
            (name, done, commands(run), shown(run), reason(run))
            for name, run, done in zip(names, runs, finished, strict=True)
        ],
        policy=POLICY,
        style=Markup("".join(file.read_text(encoding="utf-8") for file in (STYLE, FRAME / "page.css"))),
        script=in_script("".join(module(file) for file in (SCRIPT, *(FRAME / f"{name}.js" for name in SCRIPTS)))),
        data=as_json(data),
        pictures=as_json(figures["pictures"]),
    )


def repeated(summary: Summary) -> Summary:
    """Return a summary without means if no job was repeated, as in a search that has a seed of its own for each job."""
    return summary if any(line["jobs"] > 1 for line in summary.means) else summary._replace(means=[])


def short_names(jobs: list[dict[str, Any]]) -> list[str]:
    """Return names that tell the runs apart: the values that were swept, or else their folders."""
    keys = {key: short_key(key, swept(jobs)) for key in swept(jobs)}
    names = [
        ", ".join(f"{short}={job['overrides'][key]}" for key, short in keys.items() if key in job["overrides"])
        for job in jobs
    ]
    if all(names) and len({*names}) == len(names):
        return names
    folders = [job["folder"].resolve() for job in jobs]
    unique = len({folder.name for folder in folders}) == len(folders)
    return [folder.name if unique else f"{folder.parent.name}/{folder.name}" for folder in folders]


def short_key(key: str, keys: Sequence[str]) -> str:
    """Return the last name of a dotted key, or the key itself if another one ends in that name."""
    last = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == last for other in keys) > 1 else last


def config_of(run: Path) -> dict[str, Any]:
    """Return a run's config; an empty dictionary for a job that failed before it had one."""
    with suppress(Refusal):
        return read_config(run)
    return {}


def axes(summary: Summary, keys: Sequence[str], shown: Sequence[Column]) -> list[dict[str, Any]]:
    """Return what runs can be compared by, as JSON: swept keys, then all columns of numbers.

    Each has its `name`, `label`, `values` (one a run; a number, a text or null), whether it was `swept`, whether it is
    `shown` in the table, and in which `direction` it improves.
    """
    found = []
    for column in shown:
        values = [number(row[column.name]) for row in summary.rows]
        chosen = column.name in keys
        if chosen or any(isinstance(value, int | float) for value in values):
            about = {"name": column.name, "label": column.label, "swept": chosen, "shown": not column.folded}
            found.append({**about, "values": values, "direction": 0 if chosen else direction(column.name)})
    return found


def number(value: Any) -> Any:
    """Return an override's value as a number if it is a finite one."""
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value) if math.isfinite(float(value)) else value
    return None if value == "" else value


def seconds_of_an_epoch(row: dict[str, Any]) -> Any:
    """Return the mean time of a run's epochs; of older runs the median, which differs where some take longer."""
    total, epochs = row.get("training_seconds"), row.get("epochs")
    return total / epochs if total and epochs else row["seconds_per_epoch"]


def curves_on_page(read: Sequence[Curves], monitored: set[str]) -> list[dict[str, Any]]:
    """Return the curves of runs as JSON: those of monitored metrics first, of single classes last.

    Each has its `name` and `runs`: number of a run → [epochs, steps, values, means to smooth]; the means are missing
    where all values are there.
    """
    starts = ("val/", "train/", "step/")
    names = list({name: None for curves in read for name in curves})
    order = sorted(names, key=lambda name: (name.count("/") > 1, [not name.startswith(start) for start in starts]))
    order.sort(key=lambda name: name not in monitored)
    most = max(40, min(MOST_POINTS, ALL_POINTS // max(1, sum(map(len, read)))))
    drawn = []
    for name in order:
        runs = {}
        for run, curves in enumerate(read):
            points, means = thinned(curves.get(name, []), most)
            if points:
                epochs, steps, values = zip(*points, strict=True)
                columns = [values] if list(values) == means else [values, means]
                runs[run] = [epochs, steps, *([float(f"{value:.6g}") for value in column] for column in columns)]
        drawn.append({"name": name, "runs": runs})
    return drawn


def commands(run: Path) -> list[tuple[str, str]]:
    """Return what can be done with a run, and the command that does it."""
    found = [("Train it again", command_to_repeat(run))]
    if checkpoint(run, "best", "last"):
        found.append(("Evaluate it", f"{command('scalian-apply')} {word('run', run)} action=evaluate"))
    if checkpoint(run, "last", "start") and can_resume(run):
        epochs = config_of(run).get("trainer", {}).get("max_epochs")
        longer = [f"trainer.max_epochs={2 * epochs}"] if isinstance(epochs, int) and epochs > 0 else []
        found.append(("Resume it, or train it longer", command_to_resume(run, arguments=longer)))
    return found


def reason(run: Path) -> str:
    """Return why a run failed: the last line of its error; empty if it didn't."""
    if not (run / ERROR).is_file():
        return ""
    lines = read_text(run / ERROR).strip().splitlines()
    return lines[-1] if lines else ""

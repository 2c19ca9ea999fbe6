"""Runs side by side on one HTML page, which needs nothing but itself: a table to sort, curves, figures, and the command
that repeats each run."""

import base64
import csv
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scalian_exp.commands import words_of
from scalian_exp.files import read_text
from scalian_exp.folders import jobs_of
from scalian_exp.refusal import Refusal
from scalian_exp.shell import command, shown
from scalian_exp.summary import cell_of, read_job, rows, swept

MOST_CURVES = 12
"""plots on a page; the files of the runs hold the others"""
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th { cursor: pointer; background: #f5f5f5; position: sticky; top: 0 }
td:first-child, th:first-child { text-align: left }
.wide { overflow-x: auto } .figures td { vertical-align: top; text-align: center } img { max-width: 30rem }
code { background: #f5f5f5; padding: .1rem .3rem } .failed td { color: #a00 }
.legend { list-style: square } .legend span { color: #222 }
"""
SORT = """
document.querySelectorAll('table.sortable th').forEach((head, column) => head.addEventListener('click', () => {
  const body = head.closest('table').tBodies[0], up = head.dataset.up !== 'yes';
  head.dataset.up = up ? 'yes' : 'no';
  const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => a === b ? 0 : a === '' ? 1 : b === '' ? -1
    : (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b) * (up ? 1 : -1);
  [...body.rows].sort((a, b) => compare(value(a), value(b))).forEach(row => body.append(row));
}));
"""


def runs_in(paths: Iterable[Path]) -> list[Path]:
    """The run folders that are meant by run folders, sweeps, and folders of runs.

    Raises:
        Refusal: of a folder without runs.
    """
    found: dict[Path, None] = {}
    for path in paths:
        inside = jobs_of(path)
        if not inside:
            raise Refusal(f"{path} holds no run: give run folders, or a folder of runs such as a sweep's.")
        found |= dict.fromkeys(inside)
    return list(found)


def page(runs: list[Path], title: str) -> str:
    """The page's HTML."""
    jobs = [read_job(run) for run in runs]
    names = short_names(jobs)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<p>{len(runs)} runs. A click on a column's head sorts by it.</p>
<div class="wide">{table(jobs, names)}</div>
<h2>Curves</h2>
{curves(runs, names)}
<h2>Figures</h2>
<div class="wide">{figures(runs, names)}</div>
<h2>Commands</h2>
{commands(jobs, names)}
<script>{SORT}</script></body></html>
"""


def short_names(jobs: list[dict[str, Any]]) -> list[str]:
    """What tells the runs apart: what was swept, else their folders."""
    keys = swept(jobs)
    names = [", ".join(f"{key}={job['overrides'][key]}" for key in keys if key in job["overrides"]) for job in jobs]
    unique = all(names) and len({*names}) == len(names)
    return names if unique else [job["folder"].name for job in jobs]


def table(jobs: list[dict[str, Any]], names: list[str]) -> str:
    """Every test metric, time and size."""
    said = rows(jobs)
    columns = [name for name in said[0] if name != "job" and not (name.startswith("test/") and name.count("/") > 1)]
    head = "".join(f"<th>{escape(name.removeprefix('test/'))}</th>" for name in ["run", *columns])
    body = []
    for name, row in zip(names, said, strict=True):
        cells = [
            f'<td data-value="{escape(str(row[c] if row[c] is not None else ""))}">{escape(cell_of(row, c))}</td>'
            for c in columns
        ]
        kind = "" if row["status"] == "finished" else ' class="failed"'
        body.append(f"<tr{kind}><td>{escape(name)}</td>{''.join(cells)}</tr>")
    return f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def curves(runs: list[Path], names: list[str]) -> str:
    """A plot for each curve that the runs wrote, over the epochs, and whose colour is which: names may be long."""
    read = [curves_of(run) for run in runs]
    metrics = list({metric: None for curve in read for metric in curve})
    chosen = sorted(metrics, key=lambda metric: (not metric.startswith("val/"), metric.count("/") > 1))[:MOST_CURVES]
    palette, colours = (colormaps["tab10"], 10) if len(names) <= 10 else (colormaps["tab20"], 20)
    named = [(name, to_hex(palette(number % colours))) for number, name in enumerate(names)]
    pictures = []
    for metric in chosen:
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for (_, colour), curve in zip(named, read, strict=True):
            if metric in curve:
                marker = "." if len(curve[metric]) < 20 else None
                axes.plot(*zip(*curve[metric], strict=True), color=colour, marker=marker)
        axes.set(title=metric, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        pictures.append(embedded(png(figure), metric))
    legend = "".join(f'<li style="color:{colour}"><span>{escape(name)}</span></li>' for name, colour in named)
    if not pictures:
        return "<p>No run wrote any: they come with logger=csv.</p>"
    return f'<ul class="legend">{legend}</ul>{"".join(pictures)}'


def curves_of(run: Path) -> dict[str, list[tuple[float, float]]]:
    """Metric → its (epoch, value) pairs, of all starts of a run; epochs count from 1."""
    found: dict[str, dict[float, float]] = {}
    older = sorted(run.glob("csv/version_*/metrics.csv"), key=lambda file: int(file.parent.name.partition("_")[2]))
    for file in [*older, *run.glob("csv/metrics.csv")]:
        advice = "delete it to leave its curves out"
        try:
            for row in csv.DictReader(io.StringIO(read_text(file, advice))):
                for name, value in row.items():
                    if name and name.startswith(("val/", "train/")) and value:
                        found.setdefault(name, {})[float(row["epoch"]) + 1] = float(value)
        except (csv.Error, KeyError, ValueError, TypeError) as error:
            raise Refusal(f"{file} is damaged: it is no table of metrics; {advice}.") from error
    return {name: sorted(points.items()) for name, points in found.items()}


def figures(runs: list[Path], names: list[str]) -> str:
    """A row for each figure, a column for each run."""
    kinds = list({file.name: None for run in runs for file in sorted(run.glob("figures/*.png"))})
    lines = []
    for kind in kinds:
        files = [run / "figures" / kind for run in runs]
        cells = [f"<td>{embedded(file.read_bytes(), kind) if file.exists() else ''}</td>" for file in files]
        lines.append(f"<tr><td>{escape(kind.removesuffix('.png'))}</td>{''.join(cells)}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in ["", *names])
    return f'<table class="figures"><tr>{head}</tr>{"".join(lines)}</table>' if lines else "<p>No run drew any.</p>"


def commands(jobs: list[dict[str, Any]], names: list[str]) -> str:
    """What repeats each run."""
    lines = []
    for job, name in zip(jobs, names, strict=True):
        again = command("scalian-train", *words_of(job["folder"]))
        lines.append(f"<p>{escape(name)}: <code>{escape(again)}</code><br>{escape(shown(job['folder']))}</p>")
    return "".join(lines)


def png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return stream.getvalue()


def embedded(picture: bytes, name: str) -> str:
    """A PNG inside the page."""
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'

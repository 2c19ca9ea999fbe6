"""Curves and points of several runs: a metric over epochs, over an option, or over another metric.

Settings:
    x, y: axes, {fr: …, en: …, log: false, percent: false, digits: 1}.
    series: each {fr: …, en: …} with the pairs of one run's rows, {run, rows, x, y, where}, or a pair for each of
        several runs, {runs: {run: label}, x, y}; `rows`, `x` and `y` are paths in what is known about a run (facts.py),
        `where` the beginning of a text in a row. `apart: true` leaves points without a line.
    pictures: samples or masks, shown for the run that is pointed at; left out for none.
"""

from typing import Any

from scalian_exp.course.comparison import Trained
from scalian_exp.course.comparisons.plot.pictures import PICTURES
from scalian_exp.course.facts import at, both, known
from scalian_exp.exhibits.masks.exhibit import own_colours
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.store import Store
from scalian_exp.refusal import Refusal


def take(runs: dict[str, Trained], settings: dict[str, Any], store: Store) -> dict[str, Any]:
    """Return the axes and the points of each series, and put a picture of each run into the store if asked for.

    Raises:
        Refusal: if there is nothing to plot, or a value can't be on a logarithmic axis.
    """
    series = [of_runs(each, runs) if "runs" in each else of_rows(each, runs) for each in settings["series"]]
    shown = [each for each in series if each["points"]]
    if not shown:
        raise Refusal("None of the plot's series has a point: the runs lack these metrics.")
    for number, axis in enumerate(("x", "y")):
        if settings[axis].get("log") and any(point[number] <= 0 for each in shown for point in each["points"]):
            raise Refusal(f"The plot's {axis} axis is logarithmic, but has values of 0 or less.")
    pictured = [run for each in shown for run in each["runs"]] if "pictures" in settings else []

    def fill(pack: Pack) -> dict[str, Any]:
        strips = {run: PICTURES[settings["pictures"]](runs[run].run) for run in dict.fromkeys(pictured)}
        for run, strip in strips.items():
            pack.add(run, strip, "u1")
        return {"shapes": {run: list(strip.shape) for run, strip in strips.items()}}

    return {
        "x": settings["x"] | both(settings["x"]),
        "y": settings["y"] | both(settings["y"]),
        "series": shown,
        "pictures": store.block("pictures", fill) if pictured else None,
        "classes": settings.get("pictures") == "masks",
        "colours": own_colours(runs[pictured[0]].run.task) if settings.get("pictures") == "masks" else None,
        "ink": bool(pictured) and all(runs[run].run.on_paper for run in pictured),
    }


def of_rows(series: dict[str, Any], runs: dict[str, Trained]) -> dict[str, Any]:
    """Return a series of which each row of one run gives a point."""
    where = series.get("where", {})
    rows = [
        row
        for row in at(runs[series["run"]].facts, series["rows"]) or []
        if all(str(row.get(key, "")).startswith(start) for key, start in where.items())
    ]
    points = known((row.get(series["x"]), row.get(series["y"])) for row in rows)
    return {"name": both(series), "points": points, "joined": True, "labels": [], "runs": []}


def of_runs(series: dict[str, Any], runs: dict[str, Trained]) -> dict[str, Any]:
    """Return a series of which each run gives a point."""
    x, y = ({name: at(runs[name].facts, series[axis]) for name in series["runs"]} for axis in ("x", "y"))
    pairs = {name: known([(x[name], y[name])]) for name in series["runs"]}
    present = [name for name, pair in pairs.items() if pair]
    return {
        "name": both(series),
        "points": [pairs[name][0] for name in present],
        "joined": not series.get("apart", False),
        "labels": [both(series["runs"][name]) for name in present],
        "runs": present,
    }

"""The curves of runs, as their CSV files hold them and as a page can show them."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from scalian_exp.files import read_text
from scalian_exp.folders import CURVES
from scalian_exp.refusal import Refusal

LOGGED = ("val/", "train/", "step/")
"""beginnings of the names of metrics that have curves; those of the test are single values"""
ADVICE = "delete it to leave its curves out"


class Point(NamedTuple):
    """A value of a metric during training."""

    epoch: float
    """how many epochs had been trained; a fraction within one"""
    step: int
    """how many updates of the weights had been made"""
    value: float


Curves = dict[str, list[Point]]
"""metric → its values"""


def curves_of(run: Path) -> Curves:
    """Return the curves of a run over all its starts, of which later ones count where they overlap.

    Raises:
        Refusal: if one of its files is damaged.
    """
    curves: Curves = {}
    for file in files_of(run):
        text = read_text(file, ADVICE)
        try:
            read = list(points_in(text))
        except (csv.Error, KeyError, ValueError, TypeError) as error:
            raise Refusal(f"{file} is damaged: it is not a table of metrics; {ADVICE}.") from error
        starts: dict[str, float] = {}
        for name, point in read:
            starts.setdefault(name, point.epoch)
        for name, start in starts.items():
            curves[name] = [point for point in curves.get(name, []) if point.epoch < start]
        for name, point in read:
            curves[name].append(point)
    return {name: sorted(points) for name, points in curves.items()}


def files_of(run: Path) -> list[Path]:
    """Return the files with a run's curves, the oldest first; earlier versions wrote one for each start."""
    older = {file.parent.name.partition("_")[2]: file for file in run.glob("csv/version_*/metrics.csv")}
    starts = sorted((start for start in older if start.isdecimal()), key=int)  # a copy may be called version_old
    return [*(older[start] for start in starts), *run.glob(CURVES)]


def points_in(text: str) -> Iterator[tuple[str, Point]]:
    """Yield the metrics and their values in the text of a CSV file, in its order."""
    rows = list(csv.DictReader(io.StringIO(text)))
    per_epoch = steps_per_epoch(rows)
    for row in rows:
        epoch, step = float(row["epoch"]), int(row.get("step") or row["epoch"]) + 1
        if not math.isfinite(epoch):
            raise ValueError("an epoch that is NaN or infinite")
        for name, value in row.items():
            if name and name.startswith(LOGGED) and value:
                within = name.startswith("step/") and per_epoch
                yield name, Point(round(step / per_epoch, 4) if within else epoch + 1, step, float(value))


def steps_per_epoch(rows: Sequence[dict[str, str]]) -> float:
    """Return the mean number of steps in an epoch, from the last row of one; 0 if no epoch ended."""
    for row in reversed(rows):
        if row.get("step") and any(value for name, value in row.items() if name and name.startswith("train/")):
            return (int(row["step"]) + 1) / (float(row["epoch"]) + 1)
    return 0


def thinned(points: Sequence[Point], most: int) -> tuple[list[Point], list[float]]:
    """Return at most so many points of a curve: the ends, and the least and the greatest value of each stretch between.

    Peaks stay where they are, unlike in a mean. NaN and infinite values are left out.

    Returns:
        the points; and for each the mean of its stretch, which is what may be smoothed: extremes lie apart from it.
    """
    finite = [point for point in points if math.isfinite(point.value)]
    if len(finite) <= most:
        return finite, [point.value for point in finite]
    inner = finite[1:-1]
    stretches = max(1, (most - 2) // 2)
    edges = [len(inner) * number // stretches for number in range(stretches + 1)]
    kept, means = [finite[0]], [finite[0].value]
    for start, end in pairwise(edges):
        stretch = inner[start:end]
        extremes = {extreme(stretch, key=lambda point: point.value) for extreme in (min, max)}
        kept += sorted(extremes, key=lambda point: point.step)
        means += [fmean(point.value for point in stretch)] * len(extremes)
    return [*kept, finite[-1]], [*means, finite[-1].value]

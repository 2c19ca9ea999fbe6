"""Curves as the runs' files hold them, and as a page shows them."""

import csv
import math
import random
from pathlib import Path
from statistics import fmean

import pytest

from scalian_exp.refusal import Refusal
from scalian_exp.results.curves import Point, curves_of, files_of, thinned


def write(file: Path, rows: list[dict[str, float]]) -> None:
    """Write a file of metrics."""
    file.parent.mkdir(parents=True)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list({name: None for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)


def test_later_starts_count_where_they_overlap(tmp_path: Path) -> None:
    for version, epochs in ((0, [0, 1]), (1, [1, 2])):
        rows = [{"epoch": epoch, "val/rmse": 10 * version + epoch, "lr": 1} for epoch in epochs]
        write(tmp_path / f"csv/version_{version}/metrics.csv", rows)
    (points,) = curves_of(tmp_path).values()
    assert [(point.epoch, point.value) for point in points] == [(1, 0), (2, 11), (3, 12)]


def test_copies_of_starts_are_skipped(tmp_path: Path) -> None:
    for version in ("0", "old", "10", "2"):
        rows = [{"epoch": len(version), "val/rmse": float(version) if version != "old" else -1.0}]
        write(tmp_path / f"csv/version_{version}/metrics.csv", rows)
    assert [point.value for point in curves_of(tmp_path)["val/rmse"]] == [
        2,
        10,
    ]  # 2 began where 0 had, and ended before 10
    assert [file.parent.name for file in files_of(tmp_path)] == ["version_0", "version_2", "version_10"]


def test_points_within_an_epoch_lie_between_those_of_epochs(tmp_path: Path) -> None:
    rows = [{"epoch": 0, "step": 4, "step/loss": 9.0}, {"epoch": 0, "step": 9, "train/loss": 8.0}]
    rows += [{"epoch": 1, "step": 14, "step/loss": 7.0}, {"epoch": 1, "step": 19, "train/loss": 6.0}]
    write(tmp_path / "csv/metrics.csv", rows)
    assert curves_of(tmp_path) == {
        "step/loss": [Point(0.5, 5, 9.0), Point(1.5, 15, 7.0)],
        "train/loss": [Point(1, 10, 8.0), Point(2, 20, 6.0)],
    }


@pytest.mark.parametrize("row", ["x,1,y", "nan,1,2", "inf,1,2"])
def test_a_file_that_holds_no_curves_is_refused(tmp_path: Path, row: str) -> None:
    write(tmp_path / "csv/metrics.csv", [{"epoch": 0, "step": 0, "val/loss": 1}])
    file = tmp_path / "csv/metrics.csv"
    file.write_text(file.read_text() + f"{row}\n")
    with pytest.raises(Refusal, match="is not a table of metrics; delete it to leave its curves out"):
        curves_of(tmp_path)


def test_a_thinned_curve_keeps_its_ends_and_peaks() -> None:
    generator = random.Random(0)
    points = [Point(step / 100, step, generator.gauss(0, 1)) for step in range(5000)]
    points[1234] = points[1234]._replace(value=50.0)
    points[4321] = points[4321]._replace(value=-50.0)
    kept, _ = thinned(points, 200)
    assert len(kept) <= 200
    assert {points[0], points[1234], points[4321], points[-1]} <= {*kept}
    assert kept == sorted(kept)
    assert {*kept} <= {*points}


def test_what_is_smoothed_of_a_thinned_curve_lies_at_its_level() -> None:
    """Values of mean 2 whose extremes lie far above: an average of the points that are kept would be 4."""
    generator = random.Random(0)
    points = [Point(step / 100, step, 1 + generator.expovariate(1)) for step in range(50_000)]
    kept, means = thinned(points, 500)
    assert len(means) == len(kept)
    assert fmean(point.value for point in kept) > 3.5
    assert fmean(means) == pytest.approx(fmean(point.value for point in points), abs=0.01)
    assert max(abs(mean - 2) for mean in means[1:-1]) < 0.5


def test_a_short_curve_stays_and_what_is_infinite_does_not() -> None:
    points = [Point(1, 1, 2.0), Point(2, 2, math.nan), Point(3, 3, math.inf), Point(4, 4, 1.0)]
    assert thinned(points, 10) == ([points[0], points[3]], [points[0].value, points[3].value])
    assert thinned([], 10) == ([], [])

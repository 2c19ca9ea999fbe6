"""What texts and comparisons of the course read of runs, against hand-computed values."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scalian_exp.course.comparison import Trained
from scalian_exp.course.comparisons.plot.exhibit import take as plot
from scalian_exp.course.comparisons.table.exhibit import take as table
from scalian_exp.course.facts import at, history
from scalian_exp.course.results import newest, result_of
from scalian_exp.exhibits.store import Store
from scalian_exp.refusal import Refusal

RUNS: dict[str, Any] = {
    "small": Trained(
        SimpleNamespace(), {"size": 2, "test": {"kl": 1234.56}, "history": [{"epoch": 1, "val/kl": 3.0}, {"epoch": 2}]}
    ),
    "large": Trained(SimpleNamespace(), {"size": 8, "test": {}, "seconds": 61.0}),
}


def test_paths_lead_to_values_or_to_none() -> None:
    facts = {"a": {"b": [{"c": 5}]}}
    assert at(facts, "a.b.0.c") == 5
    assert [at(facts, path) for path in ("a.x", "a.b.1.c", "a.b.0.c.d")] == [None, None, None]


def test_epochs_have_one_row_each(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,step,step/loss,train/loss,val/loss\n0,9,,,3.5\n0,9,,4.0,\n1,12,2.5,,\n1,19,,,2.0\n")
    assert [(row["epoch"], row.get("train/loss"), row.get("val/loss")) for row in history(file)] == [
        (1, 4.0, 3.5),
        (2, None, 2.0),
    ]


def test_the_newest_results_count(tmp_path: Path) -> None:
    for time, value in (("2026-01-01", 1), ("2026-01-02", 2)):
        (tmp_path / time).mkdir()
        (tmp_path / time / "metrics.json").write_text(f'{{"precision": {value}}}')
        (tmp_path / time / "probe.csv").write_text(f"labels,error\n50,0.{value}\n")
        (tmp_path / time / "course.txt").write_text("probe")
    (tmp_path / "2026-01-03").mkdir()  # a user's own, or interrupted
    (tmp_path / "2026-01-03" / "probe.csv").touch()
    assert newest(tmp_path) == tmp_path / "2026-01-02"
    assert result_of(tmp_path) == {"metrics": {"precision": 2}, "probe": [{"labels": 50.0, "error": 0.2}]}


def test_a_plot_has_the_points_that_are_known() -> None:
    axis = {"fr": "taille", "en": "size"}
    of_runs = {"fr": "x", "en": "x", "runs": {"small": "S", "large": "L"}, "x": "size", "y": "test.kl"}
    of_rows = {"fr": "x", "en": "x", "run": "small", "rows": "history", "x": "epoch", "y": "val/kl"}
    store = Store("plot")
    with store.exhibit("plot"):
        facts = plot(RUNS, {"x": axis, "y": axis, "series": [of_runs, of_rows, {**of_runs, "y": "nothing"}]}, store)
    assert [series["points"] for series in facts["series"]] == [[[2.0, 1234.56]], [[1.0, 3.0]]]
    assert facts["series"][0]["labels"] == [{"fr": "S", "en": "S"}]


def test_a_plot_of_nothing_or_of_zero_on_a_logarithmic_axis_is_refused() -> None:
    axis = {"fr": "taille", "en": "size"}
    series = {"fr": "x", "en": "x", "runs": {"small": "S"}, "x": "size", "y": "test.kl"}
    runs = {"small": Trained(SimpleNamespace(), {"size": 0, "test": {"kl": 1.0}})}
    with pytest.raises(Refusal, match="series has a point"):
        plot(runs, {"x": axis, "y": axis, "series": [{**series, "y": "nothing"}]}, Store())
    with pytest.raises(Refusal, match="x axis is logarithmic"):
        plot(runs, {"x": {**axis, "log": True}, "y": axis, "series": [series]}, Store())


def test_a_table_writes_numbers_as_each_language_does() -> None:
    columns = [
        {"fr": "erreur", "en": "error", "path": {"nothing": "", "test.kl": ""}, "digits": 1},
        {"fr": "temps", "en": "time", "path": "seconds", "time": True},
        {"fr": "quoi", "en": "what", "texts": {"large": {"fr": "l'image", "en": "the image"}}},
    ]
    rows = table(RUNS, {"runs": {"small": "S", "large": "L"}, "columns": columns}, Store())["rows"]
    assert [cell["fr"] for cell in rows[0]["cells"]] == ["1\u202f234,6", "", ""]
    assert [cell["en"] for cell in rows[0]["cells"]] == ["1,234.6", "", ""]
    assert [cell["fr"] for cell in rows[1]["cells"]] == ["", "1,0\u00a0min", "l’image"]

"""The CSV file with a run's curves."""

from pathlib import Path

import pytest
from tools import read_csv

from scalian_exp.callbacks.curves import CSVCurves
from scalian_exp.refusal import Refusal


def rows(logger: CSVCurves) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if value} for row in read_csv(logger.file)]


def test_each_row_is_in_the_file_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    logger = CSVCurves(str(tmp_path))
    expected = []
    for step, metrics in enumerate(({"b": 1.5}, {"b": 2.0}, {"a": 0.1, "epoch": 1}, {"b": float("nan")}, {})):
        logger.log_metrics(metrics, step)
        expected.append({name: str(value) for name, value in {**metrics, "step": step}.items()})
        assert rows(logger) == expected
    assert logger.file == tmp_path / "csv/metrics.csv"
    assert logger.file.read_text().splitlines()[0] == "a,b,epoch,step"


def test_a_row_with_known_columns_is_appended(tmp_path: Path) -> None:
    """Appending saves a long run from rewriting its file at every step."""
    logger = CSVCurves(str(tmp_path))
    logger.log_metrics({"a": 1.0}, 0)
    before = logger.file.stat().st_ino
    logger.log_metrics({"a": 2.0}, 1)
    assert logger.file.stat().st_ino == before
    logger.log_metrics({"b": 3.0}, 2)
    assert logger.file.stat().st_ino != before  # replaced, not rewritten


def test_a_resumed_run_keeps_only_the_rows_up_to_its_checkpoint(tmp_path: Path) -> None:
    first = CSVCurves(str(tmp_path))
    for step in range(3):
        first.log_metrics({"a": step / 10}, step)
    first.log_metrics({"later": 1.0}, 3)
    with first.file.open("a") as file:
        file.write("0.7,")  # a kill in the middle of a row
    again = CSVCurves(str(tmp_path))
    again.keep(2, {"step": 1, "b": 5.0})
    assert rows(again) == [{"a": "0.0", "step": "0"}, {"a": "0.1", "step": "1"}, {"b": "5.0", "step": "1"}]
    again.log_metrics({"a": 0.2}, 2)
    assert again.file.read_text() == "a,b,step\n0.0,,0\n0.1,,1\n,5.0,1\n0.2,,2\n"
    older = CSVCurves(str(tmp_path))
    older.keep(None)
    assert len(rows(older)) == 4
    older.keep(0)
    assert not older.file.exists()


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    logger = CSVCurves(str(tmp_path))
    logger.file.parent.mkdir()
    logger.file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match="remove it to go on"):
        logger.keep(3)

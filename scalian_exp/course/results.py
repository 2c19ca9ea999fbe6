"""Read the newest results of an action of the course, and tables as rows. No torch."""

import csv
from pathlib import Path
from typing import Any

from scalian_exp.files import read_json
from scalian_exp.folders import METRICS

MARK = "course.txt"
"""in a folder of results: the action and its arguments, once the course has seen it end well"""


def newest(action: Path) -> Path | None:
    """Return the newest folder below an action's folder that holds results of the course; None if there is none."""
    return max((file.parent for file in action.glob(f"[0-9]*/{MARK}")), default=None)


def result_of(action: Path) -> dict[str, Any]:
    """Return the newest results of an action: `metrics`, and the rows of each table by its file's name."""
    folder = newest(action)
    assert folder is not None
    tables = {file.stem: table(file) for file in folder.glob("*.csv")}
    return tables | ({"metrics": read_json(folder / METRICS)} if (folder / METRICS).is_file() else {})


def table(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file without empty cells, numbers as numbers."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return [{key: number(value) for key, value in row.items() if value} for row in csv.DictReader(stream)]


def number(text: str) -> float | str:
    """Return the number that a text writes, or the text."""
    try:
        return float(text)
    except ValueError:
        return text

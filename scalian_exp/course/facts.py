"""What is known about the runs of the course, as one tree that texts and comparisons read."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scalian_exp.commandline.shell import word
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.texts import TYPOGRAPHY
from scalian_exp.files import read_json
from scalian_exp.folders import CURVES, METRICS
from scalian_exp.stored import metrics_of

AGAIN = "again"
"""folder beside the course's runs, where the commands that its page shows write"""
MARK = "course.txt"
"""in a folder of results: the action and its arguments, once the course has seen it end well"""


def facts_of(run: Run) -> dict[str, Any]:
    """Return what is known about a run.

    Returns:
        Its facts as exhibits tell them (`model`, `dataset`, `parameters`, `seconds`, `test`); `pixels`, values of an
        image; `config`, as resolved; `metrics`, as in metrics.json; `command`, which trains it again; `history`, a row
        for each epoch with its metrics' means; `results`, by action: metrics and rows of tables; and `exhibits`, by
        kind: facts of those on the page, empty at first.
    """
    folder = run.model.folder
    return run.facts | {
        "config": run.config,
        "pixels": math.prod(run.shape) if run.of_images else None,
        "metrics": metrics_of(folder),
        "command": f"{run.command} {word('hydra.run.dir', folder.parent.with_name(AGAIN) / folder.name)}",
        "history": history(folder / CURVES),
        "results": {action.name: result_of(action) for action in sorted(folder.iterdir()) if newest(action)},
        "exhibits": {},
    }


def history(file: Path) -> list[dict[str, float]]:
    """Return the metrics of each epoch, training and validation in one row."""
    rows: dict[int, dict[str, float]] = {}
    for row in table(file):
        if not any(key.startswith("step/") for key in row):
            rows.setdefault(int(row["epoch"]), {}).update(row)
    return [row | {"epoch": epoch + 1} for epoch, row in sorted(rows.items())]


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


def at(facts: Any, path: str) -> Any:
    """Return what stands at a path of keys, such as "test.neg_elbo"; None if nothing does.

    A number at the end of the path counts the entries of a list.
    """
    for key in path.split("."):
        if isinstance(facts, list):
            facts = facts[int(key)] if int(key) < len(facts) else None
        elif isinstance(facts, dict):
            facts = facts.get(key)
        else:
            return None
    return facts


def both(text: str | dict[str, Any]) -> dict[str, str]:
    """Return a text as each language writes it, given once where it is the same in both."""
    return {name: write(text if isinstance(text, str) else text[name]) for name, write in TYPOGRAPHY.items()}


def known(points: Iterable[tuple[Any, Any]]) -> list[list[float]]:
    """Return the pairs of which both numbers are known."""
    return [[float(x), float(y)] for x, y in points if isinstance(x, int | float) and isinstance(y, int | float)]

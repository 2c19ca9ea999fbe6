"""Facts about a run of the course, as one tree that texts and comparisons read."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scalian_exp.commandline.shell import word
from scalian_exp.course.results import newest, result_of, table
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.texts import TYPOGRAPHY
from scalian_exp.folders import CURVES
from scalian_exp.stored import metrics_of

AGAIN = "again"
"""folder beside the course's runs, where the commands that its page shows write"""


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

"""Read a user's table of ratings and infer which values ratings can have. Imports no torch."""

import math
from collections.abc import Iterable
from pathlib import Path
from sys import intern
from typing import NamedTuple

from scalian_exp.datasets.table_files import names, records, separator_of
from scalian_exp.refusal import Refusal

COLUMNS = ("user", "item", "rating")
MOST_LEVELS = 50
"""Most distinct ratings that are taken for levels; more of them are points of a continuous scale."""
STEPS = 20
"""Steps into which a continuous scale is divided, for models with discrete ratings."""


class Line(NamedTuple):
    """A rating as text, with its place in the file. Files have millions, so equal names are one string in memory."""

    user: str
    item: str
    rating: str
    file: Path
    number: int

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file}, line {self.number}"


def read_csv(file: Path) -> tuple[list[Line], dict[str, str]]:
    """Read a table of ratings: its lines, and the titles (item → the first title given for it).

    Raises:
        Refusal: if a column is missing, a line is broken, or there are no lines.
    """
    separator = separator_of(file, COLUMNS)
    rows = records(file, separator, quoted=True)
    header = names(next(rows)[1])
    user, item, rating = (header.index(name) for name in COLUMNS)
    title = header.index("title") if "title" in header else None
    lines, titles = [], dict[str, str]()
    for number, fields in rows:
        if len(fields) != len(header) or not all(fields[place].strip() for place in (user, item, rating)):
            wrong = "has an empty user, item or rating"
            if len(fields) != len(header):
                wrong = f"has {len(fields)} fields, but the header names {len(header)} columns"
            raise Refusal(
                f"{file}, line {number} {wrong}; repair or remove it (text that contains {separator!r} goes in double "
                "quotes)."
            )
        given_title = fields[title].strip() if title is not None else ""
        name, value = fields[item].strip(), fields[rating].strip()
        titles[name] = titles.get(name) or given_title
        value = value if separator == "," else value.replace(",", ".")  # as spreadsheets write it in Europe
        lines.append(Line(intern(fields[user].strip()), intern(name), intern(value), file, number))
    if not lines:
        raise Refusal(f"{file} has no ratings below its header.")
    return lines, titles


def levels_of(lines: Iterable[Line]) -> tuple[list[float], bool]:
    """Infer the rating levels, ascending, and whether ratings between them are possible.

    Few distinct values are each a level; if there are many, as from a slider, levels divide their range evenly.

    Raises:
        Refusal: if a rating is not a number.
    """
    values: set[float] = set()
    for line in lines:
        values.add(number_of(line))
    if len(values) <= MOST_LEVELS:
        return sorted(values), False
    low, high = min(values), max(values)
    return [low, *(low + (high - low) * step / STEPS for step in range(1, STEPS)), high], True


def number_of(line: Line) -> float:
    """Return a line's rating as a number.

    Raises:
        Refusal: if the rating is not a finite number.
    """
    try:
        value = float(line.rating)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refusal(f"{line.place}: the rating {line.rating!r} is not a number; correct or remove the line.")
    return value

"""Anybody's table of ratings as it stands in a file, and the values that ratings have in it. Imports no torch."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from scalian_exp.datasets.table_files import names, records, separator_of
from scalian_exp.refusal import Refusal

COLUMNS = ("user", "item", "rating")
MOST_LEVELS = 50
"""different ratings; where there are more, they are points of a scale"""
STEPS = 20
"""into which a scale is divided for models whose ratings are states"""


class Line(NamedTuple):
    """A rating as it stands in a file."""

    user: str
    item: str
    rating: str
    place: str
    """file and line, for sentences"""


def read_csv(file: Path) -> tuple[list[Line], dict[str, str]]:
    """The lines, and item → its title, the first one given.

    Raises:
        Refusal: if a column is missing, a line is broken, or there is none.
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
                f"{file}, line {number} {wrong}; repair or remove it (text that holds {separator!r} goes in double "
                "quotes)."
            )
        said = fields[title].strip() if title is not None else ""
        name, value = fields[item].strip(), fields[rating].strip()
        titles[name] = titles.get(name) or said
        value = value if separator == "," else value.replace(",", ".")  # as spreadsheets write it in Europe
        lines.append(Line(fields[user].strip(), name, value, f"{file}, line {number}"))
    if not lines:
        raise Refusal(f"{file} has no ratings below its header.")
    return lines, titles


def levels_of(lines: Iterable[Line]) -> tuple[list[float], bool]:
    """The values that ratings have, ascending, and whether there may be others between them.

    Of a few different values each is a level; of many, as where a slider was moved, levels divide their range evenly.

    Raises:
        Refusal: if a rating is no number.
    """
    found: set[float] = set()
    for line in lines:
        found.add(number_of(line))
    if len(found) <= MOST_LEVELS:
        return sorted(found), False
    low, high = min(found), max(found)
    return [low, *(low + (high - low) * step / STEPS for step in range(1, STEPS)), high], True


def number_of(line: Line) -> float:
    """
    Raises:
        Refusal: if the rating is no finite number.
    """
    try:
        value = float(line.rating)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refusal(f"{line.place}: the rating {line.rating!r} is no number; correct or remove the line.")
    return value

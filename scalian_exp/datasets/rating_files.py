"""Ratings read from text files; a broken line is named with its file and number."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from scalian_exp.refusal import Refusal


class Line(NamedTuple):
    """A rating as it stands in a file."""

    user: str
    item: str
    rating: str
    place: str
    """file and line, for sentences"""


class Triples(NamedTuple):
    """n ratings, by the numbers of their users and items."""

    users: Tensor
    items: Tensor
    values: Tensor

    def part(self, indices: Tensor) -> "Triples":
        return Triples(self.users[indices], self.items[indices], self.values[indices])


def records(file: Path, separator: str = ",", encoding: str = "utf-8-sig") -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line of a file, blank lines left out; only fields of a CSV file may be in quotes.

    Raises:
        Refusal: if there is no such file, or it can't be read, or if a quote isn't closed in its line.
    """
    last = 0
    try:
        with file.open(newline="", encoding=encoding) as stream:
            lines = stream if len(separator) == 1 else (line.replace(separator, "\t") for line in stream)
            mark = separator if len(separator) == 1 else "\t"
            reader = csv.reader(lines) if mark == "," else csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_NONE)
            for fields in reader:
                if reader.line_num > last + 1:  # else all lines up to the next quote would be one title
                    raise Refusal(
                        f"{file}, line {last + 1} opens a double quote that it doesn't close; repair the line."
                    )
                last = reader.line_num
                if fields:
                    yield last, fields
    except FileNotFoundError as error:
        raise Refusal(f"There is no file {file}; put it there, or say with dataset.root where it lies.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refusal(
            f"{file} can't be read ({error}); it should be a text file in {encoding.removesuffix('-sig').upper()}."
        ) from error


def rating_lines(file: Path, separator: str, header: bool = False) -> Iterator[Line]:
    """The ratings of a file whose lines begin with user, item and rating.

    Raises:
        Refusal: if a line has too few fields, or an empty one.
    """
    for number, fields in records(file, separator):
        if header and number == 1:
            continue
        if len(fields) < 3 or not all(field.strip() for field in fields[:3]):
            raise Refusal(
                f"{file}, line {number}: {separator.join(fields)!r} has no user, item and rating, divided by "
                f"{separator!r}; repair or remove the line."
            )
        user, item, rating = fields[:3]
        yield Line(user, item, rating, f"{file}, line {number}")


def triples(lines: Iterable[Line], users: dict[str, int], items: dict[str, int], levels: Sequence[float]) -> Triples:
    """Ratings by number, each pair of user and item once.

    Args:
        users: name → number.
        items: the same.
        levels: the values that a rating can have.

    Raises:
        Refusal: if a rating is none of the levels, a pair comes twice, or somebody or something is unknown.
    """
    allowed, places = set(levels), dict[tuple[int, int], str]()
    values = []
    for line in lines:
        try:
            value = float(line.rating)
        except ValueError:
            value = float("nan")
        if value not in allowed:
            raise Refusal(
                f"{line.place}: the rating {line.rating!r} is none of {', '.join(f'{level:g}' for level in levels)}; "
                "correct it, or say with dataset.levels which ratings there are."
            )
        if line.user not in users or line.item not in items:
            what = f"user {line.user!r}" if line.user not in users else f"item {line.item!r}"
            raise Refusal(f"{line.place}: {what} is not among those that the data set lists; correct the line.")
        pair = (users[line.user], items[line.item])
        if pair in places:
            raise Refusal(
                f"{line.place}: user {line.user!r} has rated item {line.item!r} already ({places[pair]}); keep one of "
                "the two."
            )
        places[pair] = line.place
        values.append(value)
    numbers = torch.tensor(list(places), dtype=torch.long).view(-1, 2)
    return Triples(numbers[:, 0], numbers[:, 1], torch.tensor(values))


def numbered(names: Iterable[str]) -> dict[str, int]:
    """name → number, by number where all are numbers, else by name."""
    distinct = set(names)
    if all(name.isdecimal() for name in distinct):
        return {name: number for number, name in enumerate(sorted(distinct, key=int))}
    return {name: number for number, name in enumerate(sorted(distinct))}

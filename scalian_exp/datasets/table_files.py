"""Tables in text files: their separator, their header, their records. Imports no torch."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scalian_exp.files import check_regular
from scalian_exp.refusal import Refusal

SEPARATORS = (",", ";", "\t", "|")
REGULAR = "put the table itself there"
"""what to do about a FIFO in its place"""


def records(
    file: Path, separator: str = ",", encoding: str = "utf-8-sig", quoted: bool | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line of a file, blank lines left out.

    Args:
        separator: of one character or more.
        quoted: whether fields may be in double quotes; null: where commas separate them.

    Raises:
        Refusal: if there is no such file, or it can't be read, or if a quote isn't closed in its line.
    """
    last = 0
    mark = separator if len(separator) == 1 else "\t"
    quoting = csv.QUOTE_MINIMAL if (mark == "," if quoted is None else quoted) else csv.QUOTE_NONE
    csv.field_size_limit(sys.maxsize)
    check_regular(file, REGULAR)
    try:
        with file.open(newline="", encoding=encoding) as stream:
            lines = stream if len(separator) == 1 else (line.replace(separator, "\t") for line in stream)
            reader = csv.reader(lines, delimiter=mark, quoting=quoting)  # type: ignore[arg-type]
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
    except (OSError, UnicodeError, csv.Error) as error:
        raise Refusal(unreadable(file, error, encoding)) from error


def unreadable(file: Path, error: Exception, encoding: str = "utf-8-sig") -> str:
    """What to do about a file that is no text."""
    wanted = encoding.removesuffix("-sig").upper()
    return f"{file} can't be read ({error}); it should be a text file in {wanted}: save it so."


def separator_of(file: Path, columns: Sequence[str]) -> str:
    """What separates the fields of a table whose first line names columns: a comma, semicolon, tab or bar.

    Raises:
        Refusal: if the first line lacks a column, whatever separates them, or if the file can't be read.
    """
    check_regular(file, REGULAR)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            first = next((line for line in stream if line.strip()), "").strip("\r\n")
    except FileNotFoundError as error:
        raise Refusal(f"There is no file {file}; put it there, or say with dataset.root where it lies.") from error
    except (OSError, UnicodeError) as error:
        raise Refusal(unreadable(file, error)) from error
    headers = {mark: next(csv.reader([first], delimiter=mark), []) for mark in SEPARATORS}
    mark, header = max(headers.items(), key=lambda item: (len({*columns} & {*names(item[1])}), len(item[1])))
    if missing := [name for name in columns if name not in names(header)]:
        raise Refusal(
            f"{file} has no column {' and '.join(missing)}; its first line has {', '.join(header) or 'none'}: name the "
            f"columns there, {','.join(columns)}, separated by commas, semicolons or tabs."
        )
    return mark


def names(header: Sequence[str]) -> list[str]:
    """The columns that a header names, in small letters."""
    return [name.strip().lower() for name in header]

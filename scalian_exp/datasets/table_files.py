"""Read tables in text files: separator, header and records. Imports no torch."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scalian_exp.files import check_regular
from scalian_exp.refusal import Refusal

SEPARATORS = (",", ";", "\t", "|")
REGULAR = "put the table itself there"
"""Advice for a FIFO in place of a table."""


def records(
    file: Path, separator: str = ",", encoding: str = "utf-8-sig", quoted: bool | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and fields of each line of a file, skipping blank lines.

    Args:
        file: the table.
        separator: one or more characters between fields.
        encoding: the file's text encoding.
        quoted: whether fields may be in double quotes; by default only if commas separate them.

    Raises:
        Refusal: if the file is missing or can't be read, or if a quote isn't closed within its line.
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
                if reader.line_num > last + 1:  # otherwise all lines up to the next quote would be one field
                    raise Refusal(
                        f"{file}, line {last + 1} opens a double quote that it doesn't close; repair the line."
                    )
                last = reader.line_num
                if fields:
                    yield last, fields
    except FileNotFoundError as error:
        raise Refusal(f"There is no file {file}; put it there, or set dataset.root to its folder.") from error
    except (OSError, UnicodeError, csv.Error) as error:
        raise Refusal(unreadable(file, error, encoding)) from error


def unreadable(file: Path, error: Exception, encoding: str = "utf-8-sig") -> str:
    """Return the message about a file that can't be decoded as text."""
    wanted = encoding.removesuffix("-sig").upper()
    return f"{file} can't be read ({error}); save it as a text file in {wanted}."


def separator_of(file: Path, columns: Sequence[str]) -> str:
    """Return the separator of a table whose first line names its columns: a comma, semicolon, tab or bar.

    Raises:
        Refusal: if the first line lacks a column with every separator, or if the file can't be read.
    """
    check_regular(file, REGULAR)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            first = next((line for line in stream if line.strip()), "").strip("\r\n")
    except FileNotFoundError as error:
        raise Refusal(f"There is no file {file}; put it there, or set dataset.root to its folder.") from error
    except (OSError, UnicodeError) as error:
        raise Refusal(unreadable(file, error)) from error
    headers = {mark: next(csv.reader([first], delimiter=mark), []) for mark in SEPARATORS}
    mark, header = max(headers.items(), key=lambda item: (len({*columns} & {*names(item[1])}), len(item[1])))
    if missing := [name for name in columns if name not in names(header)]:
        raise Refusal(
            f"{file} has no column {' and '.join(missing)}; its first line has {', '.join(header) or 'none'}: name the "
            f"columns in the first line, {','.join(columns)}, separated by commas, semicolons or tabs."
        )
    return mark


def names(header: Sequence[str]) -> list[str]:
    """Return the column names in a header, stripped and in lower case."""
    return [name.strip().lower() for name in header]

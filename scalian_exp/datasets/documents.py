"""Texts with the names of their classes, and tables of them."""

import csv
import sys
from pathlib import Path
from typing import NamedTuple

from scalian_exp.datasets.table_files import names, separator_of, unreadable
from scalian_exp.refusal import Refusal


class Documents(NamedTuple):
    """Texts and the names of their classes, in the same order."""

    texts: list[str]
    labels: list[str]


def subset(documents: Documents, indices: list[int]) -> Documents:
    """Return the documents at these indices."""
    return Documents([documents.texts[i] for i in indices], [documents.labels[i] for i in indices])


def read_csv(file: Path) -> Documents:
    """Read a table whose header names the columns label and text; other columns are ignored.

    Raises:
        Refusal: if the file or a column is missing, if a text or label is empty, or if quotes are missing.
    """
    separator = separator_of(file, ("label", "text"))
    (_, first), *others = quoted_records(file, separator)
    header = names(first)
    documents = Documents([], [])
    for line, fields in others:
        record = dict(zip(header, fields, strict=False))
        text, label = record.get("text", ""), record.get("label", "")
        if not text.strip() or not label.strip():
            what = "text" if label.strip() else "label"
            raise Refusal(f"{file}, line {line}: the {what} is empty; remove the record or fill it in.")
        if any(fields[len(header) :]):
            raise Refusal(
                f"{file}, line {line}: there are more fields than the {len(header)} of the first line; put a text with "
                f"{separator!r} in it in double quotes."
            )
        documents.texts.append(text)
        documents.labels.append(label)
    if not documents.texts:
        raise Refusal(f"{file} has no records below its header.")
    return documents


def quoted_records(file: Path, separator: str) -> list[tuple[int, list[str]]]:
    """Return each record, which quotes let go over several lines, with the number of its first line.

    Raises:
        Refusal: if the file can't be read, or if a quote isn't closed or isn't at the end of its field.
    """
    records, last = [], 0
    csv.field_size_limit(sys.maxsize)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, delimiter=separator, strict=True)
            for fields in reader:
                records += [(last + 1, fields)] if fields else []
                last = reader.line_num
    except csv.Error as error:
        raise Refusal(
            f"{file}, line {last + 1}: double quotes are missing, or within a text not written twice ({error}); repair "
            "the record that begins there."
        ) from error
    except (OSError, UnicodeError) as error:
        raise Refusal(unreadable(file, error)) from error
    return records

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
        Refusal: if the file or a column is missing, or if a text or label is empty.
    """
    separator = separator_of(file, ("label", "text"))
    csv.field_size_limit(sys.maxsize)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, delimiter=separator)
            header = names(next(record for record in reader if record))
            records = [dict(zip(header, record, strict=False)) for record in reader if record]
    except (OSError, UnicodeError, csv.Error) as error:
        raise Refusal(unreadable(file, error)) from error
    rows = [(record.get("text", ""), record.get("label", "")) for record in records]
    for line, (text, label) in enumerate(rows, start=2):
        if not text.strip() or not label.strip():
            what = "text" if label.strip() else "label"
            raise Refusal(f"{file}, record {line}: the {what} is empty; remove the record or fill it in.")
    if not rows:
        raise Refusal(f"{file} has no records below its header.")
    return Documents([text for text, _ in rows], [label for _, label in rows])

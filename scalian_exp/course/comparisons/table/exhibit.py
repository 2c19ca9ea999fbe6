"""A table of several runs, a row each.

Settings:
    runs: {run: name of its row}.
    columns: each {fr: …, en: …, path, digits: 1, percent: false}; `path` in what is known about a run (facts.py), or
        {path: what it is} of which the first with a value counts. A column without a value for a row stays empty
        there. Instead of `path`, `between: [path, path]` gives an interval, `texts` {run: text}. `kind` is text, data
        or command for what isn't a number; data and commands are left out where the table is projected.
"""

from typing import Any

from scalian_exp.course.comparison import Trained
from scalian_exp.course.facts import at, both
from scalian_exp.exhibits.store import Store
from scalian_exp.exhibits.texts import LANGUAGES, duration, number, percent


def take(runs: dict[str, Trained], settings: dict[str, Any], _store: Store) -> dict[str, Any]:
    """Return the names of columns and rows, and what stands in each cell, in both languages."""
    columns = settings["columns"]
    cells = {name: [cell(name, runs[name].facts, column) for column in columns] for name in settings["runs"]}
    return {
        "columns": [both(column) | {"kind": column.get("kind", "value")} for column in columns],
        "rows": [{"name": both(settings["runs"][name]), "cells": cells[name]} for name in settings["runs"]],
    }


def cell(run: str, facts: dict[str, Any], column: dict[str, Any]) -> dict[str, str]:
    """Return what stands in a run's cell of a column, in each language."""
    if "texts" in column:
        return both(column["texts"].get(run, ""))
    if "between" in column:
        ends = [at(facts, path) for path in column["between"]]
        known = all(isinstance(end, int | float) for end in ends)
        return {each: " … ".join(written(end, column, each) for end in ends) if known else "" for each in LANGUAGES}
    paths = column["path"] if isinstance(column["path"], dict) else {column["path"]: ""}
    for path, what in paths.items():
        if (value := at(facts, path)) is not None:
            name = both(what)
            return {each: f"{written(value, column, each)} {name[each]}".rstrip() for each in LANGUAGES}
    return dict.fromkeys(LANGUAGES, "")


def written(value: Any, column: dict[str, Any], language: str) -> str:
    """Write a value as its column wants it, in a language."""
    if not isinstance(value, int | float):
        return str(value)
    if column.get("time"):
        return duration(value, language)
    write = percent if column.get("percent") else number
    return write(value, column.get("digits", 0), language=language)

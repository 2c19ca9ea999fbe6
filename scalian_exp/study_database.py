"""The database that keeps a search's trials: where it lies, and how its failures are told. No torch."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scalian_exp.folders import DATABASE
from scalian_exp.refusal import Refusal

SQLITE = "sqlite:///"
REASONS = {
    "database or disk is full": "no space is left on the disk; free some and go on by sweep.resume=…",
    "unable to open database file": "the file can't be opened; is its folder read-only or gone, or something in its "
    "place? Mend that, or choose another folder",
    "readonly database": "it is read-only; change its permissions, or choose another folder",
    "disk I/O error": "the disk reports an error; check it, or choose another place",
    "database is locked": "another process writes to it; wait until it ends, and go on by sweep.resume=…",
    "not a database": "it is damaged; restore it from a copy, or start a new search",
    "malformed": "it is damaged; restore it from a copy, or start a new search",
}
"""part of what SQLite says → what is wrong, and what to do"""


def database_of(folder: Path) -> str:
    """The URL of the database in a search's folder."""
    return f"{SQLITE}{folder.absolute() / DATABASE}"


def lies_in(folder: Path, storage: object) -> bool:
    """Is it the URL of the database in a search's folder, whatever links lead there?"""
    if not isinstance(storage, str) or not storage.startswith(SQLITE):
        return False
    return os.path.realpath(storage.removeprefix(SQLITE)) == os.path.realpath(folder / DATABASE)


@contextmanager
def database_failures_refused(storage: str) -> Iterator[None]:
    """Turn failures of a search's database into sentences.

    Raises:
        Refusal: instead of what the database raised.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        said = " ".join(map(str, (error, error.__cause__)))
        known = (text for part, text in REASONS.items() if part in said)
        text = next(known, f"{str(error).splitlines()[0].rstrip('.')}; mend that and go on by sweep.resume=…")
        place = re.sub(r"://[^@/]*@", "://", storage).removeprefix(SQLITE)  # without a password
        raise Refusal(f"{place}, which keeps the search's trials: {text}.") from error

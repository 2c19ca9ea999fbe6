"""The database that stores the trials of a search: its URL, and its failures as sentences. No torch."""

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
    "unable to open database file": "the file can't be opened; is its folder read-only or gone, or something else in "
    "its place? Fix that, or choose another folder",
    "readonly database": "it is read-only; change its permissions, or choose another folder",
    "disk I/O error": "the disk reports an error; check it, or choose another place",
    "database is locked": "another process writes to it; wait until it ends, and go on by sweep.resume=…",
    "not a database": "it is damaged; restore it from a copy, or start a new search",
    "malformed": "it is damaged; restore it from a copy, or start a new search",
}
"""maps part of SQLite's message to what is wrong and what to do"""


def database_of(folder: Path) -> str:
    """Return the URL of the database in a search's folder."""
    return f"{SQLITE}{folder.absolute() / DATABASE}"


def lies_in(folder: Path, storage: object) -> bool:
    """Return whether a storage is the database in a search's own folder, with symbolic links followed."""
    if not isinstance(storage, str) or not storage.startswith(SQLITE):
        return False
    return os.path.realpath(storage.removeprefix(SQLITE)) == os.path.realpath(folder / DATABASE)


@contextmanager
def database_failures_refused(storage: str) -> Iterator[None]:
    """Turn errors of a search's database into a Refusal.

    Raises:
        Refusal: in place of the errors of SQLAlchemy and Optuna.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        message = " ".join(map(str, (error, error.__cause__)))
        known = (text for part, text in REASONS.items() if part in message)
        text = next(known, f"{str(error).splitlines()[0].rstrip('.')}; fix that and go on by sweep.resume=…")
        place = re.sub(r"://[^@/]*@", "://", storage).removeprefix(SQLITE)  # without a password
        raise Refusal(f"{place}, which stores the search's trials: {text}.") from error

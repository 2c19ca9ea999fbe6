"""Locks on the folders of runs and sweeps: one process at a time, and no traces if no run begins. No torch."""

import errno
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from scalian_exp.files import read_json, write_text
from scalian_exp.folders import CONFIG, MULTIRUN, make_new
from scalian_exp.refusal import Refusal

log = logging.getLogger(__name__)
LOCK, HOLDER = ".lock", ".lock.json"
"""files in a folder while a process works there: the lock, and who holds it"""
NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
"""error codes of file systems that can't lock"""
READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
"""error codes of asking for a lock in a folder where this process may not write"""
PATIENCE = 0.3
"""seconds to wait for a lock, since another process may hold it briefly to see whether it is free"""


class InUse(Refusal):
    """A refusal because another process works in the folder."""


class Hold:
    """A folder in which this process works, with a record of what was there before.

    Args:
        folder: its path; the folder is created if it is missing.
        watched: names of files and folders in it that Hydra and others write before a run begins.
        lock: whether to keep other processes out.
        new: whether to take a numbered folder instead if this one exists already.

    Raises:
        InUse: if another process works there.
    """

    def __init__(self, folder: Path, watched: tuple[str, ...], lock: bool = True, new: bool = False):
        self.folder = folder
        self.missing = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            if new:
                self.folder = make_new(folder)
                self.missing = [self.folder, *(path for path in self.missing if path != folder)]
            else:
                folder.mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.folder / LOCK, fallback_to_soft=False) if lock else None
            self.take()
        except BaseException:
            self.remove_folders()
            raise
        self.watched = [self.folder / name for name in watched]
        self.new = [path for path in self.watched if not path.exists()]
        self.before = {file: file.read_bytes() for file in self.settings()}

    def take(self) -> None:
        """Lock the folder and write down who holds it."""
        if self.lock is None:
            return
        if not locked(self.lock, self.folder):
            log.warning("This file system has no locks: nothing keeps a second process out of %s.", self.folder)
            self.lock = None
            return
        now = datetime.now().isoformat(sep=" ", timespec="seconds")
        write_text(self.folder / HOLDER, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}))

    def settings(self) -> list[Path]:
        """Return the YAML files in the watched folders."""
        return [file for path in self.watched for file in path.glob("*.yaml") if file.is_file()]

    def release(self) -> None:
        """Release the folder; if neither a run nor a sweep has begun in it, restore it to what it was."""
        if not ((self.folder / CONFIG).exists() or (self.folder / MULTIRUN).exists()):
            with suppress(OSError):
                self.take_back()
        if self.lock is not None:
            for name in (HOLDER, LOCK):  # still locked: whoever has opened the file sees that it is gone
                with suppress(OSError):
                    (self.folder / name).unlink()
            self.lock.release()
        self.remove_folders()

    def take_back(self) -> None:
        """Remove watched files that are new, and restore those that have changed."""
        for path in self.new:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for file in self.settings():
            if file not in self.before:
                file.unlink()
            elif file.read_bytes() != self.before[file]:
                file.write_bytes(self.before[file])

    def remove_folders(self) -> None:
        """Remove the folders that this process created, unless there is something in them."""
        with suppress(OSError):
            for path in self.missing:
                path.rmdir()


_held: dict[Path, Hold] = {}
"""The folders in which this process works, by their real paths. They are module state because they are state of the
process: Hydra's callback takes a folder, the job inside Hydra asks for it again, and the command releases it, but Hydra
lets no object be handed from one to the next."""


def locked(lock: FileLock, folder: Path) -> bool:
    """Take the lock of a folder; return False if the file system has no locks.

    Raises:
        InUse: if another process holds it.
    """
    try:
        lock.acquire(timeout=PATIENCE, poll_interval=0.01)
    except Timeout:
        raise InUse(f"{folder} is in use: {holder(folder)}.") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def real(folder: Path) -> Path:
    """Return the canonical path of a folder, with symbolic links followed."""
    return Path(os.path.realpath(folder))  # Path.resolve raises a RuntimeError for circular links


def hold(folder: Path, *watched: str, lock: bool = True) -> None:
    """Hold a folder until `all_released` ends, creating it if needed; holding it again changes nothing.

    Args:
        folder: its path.
        watched: names of files and folders in it that others write before a run begins.
        lock: whether to keep other processes out.

    Raises:
        InUse: if another process works there.
    """
    if (place := real(folder)) not in _held:
        _held[place] = Hold(place, watched, lock)


def hold_new(folder: Path, *watched: str) -> Path:
    """Create, hold and return a new folder: this one, or the first free of NAME_2, NAME_3 and so on."""
    own = Hold(real(folder.parent) / folder.name, watched, new=True)
    _held[own.folder] = own
    return folder.with_name(own.folder.name)


@contextmanager
def held(folder: Path, lock: bool = True) -> Iterator[None]:
    """Hold a folder during a block, unless this process holds it already.

    Raises:
        InUse: if another process works there.
    """
    if not lock or real(folder) in _held:
        yield
        return
    hold(folder)
    try:
        yield
    finally:
        _held.pop(real(folder)).release()


@contextmanager
def all_released() -> Iterator[None]:
    """Release all folders that this process holds when the block ends."""
    try:
        yield
    finally:
        while _held:
            _held.popitem()[1].release()


def check_free(folder: Path) -> None:
    """Refuse a folder in which another process works.

    Raises:
        InUse: if one does.
    """
    if real(folder) in _held or not (folder / LOCK).exists():
        return
    lock = FileLock(folder / LOCK, fallback_to_soft=False)
    try:
        locked(lock, folder)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
    finally:
        lock.release()


def holder(folder: Path) -> str:
    """Describe the process that works in a folder, and what to do about it."""
    try:
        who = read_json(folder / HOLDER)
        description = f"process {who['pid']} on {who['host']} has worked there since {who['since']}"
    except (Refusal, KeyError):
        description = "another process works there"
    return f"{description}; wait until it ends, or choose another folder"

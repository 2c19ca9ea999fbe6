"""What lies in a run's and in a sweep's folder, and which process works there."""

import errno
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from enum import Enum
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from scalian_exp.files import read_json, write_text
from scalian_exp.refusal import Refusal

log = logging.getLogger(__name__)
CONFIG, METRICS, MULTIRUN = "config.yaml", "metrics.json", "multirun.yaml"
NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
"""how a file system says that it can't lock"""
LOCK, HOLDER = ".lock", ".lock.json"
"""there while a process works in the folder: what it locks, and who it is"""


class State(Enum):
    """How far the run in a folder has come; a kill at any moment leaves one of these."""

    NONE = "no run"
    """no config.yaml: the folder is new, or its start was killed before the run began"""
    CLAIMED = "claimed"
    """no checkpoint yet: the run goes on from its beginning"""
    STARTED = "started"
    """start.ckpt and perhaps best.ckpt: it goes on from before its first step"""
    SAVED = "saved"
    """last.ckpt: it goes on from there"""
    FINISHED = "finished"
    """metrics.json holds its results"""


def state(folder: Path) -> State:
    """The state of the run in a folder."""
    if not (folder / CONFIG).is_file():
        return State.NONE
    if status(folder) == "finished":
        return State.FINISHED
    if file := checkpoint(folder, "last", "start"):
        return {"last": State.SAVED, "start": State.STARTED}[file.stem]
    return State.CLAIMED


def goes_on(folder: Path) -> bool:
    """Can the run in a folder be resumed? Not from best.ckpt alone, which no kill leaves: others were removed."""
    resumable = checkpoint(folder, "last", "start") or not checkpoint(folder, "best")
    return state(folder) is not State.NONE and bool(resumable)


def status(folder: Path) -> object:
    """What metrics.json says of how the run ended; None if it is missing or damaged."""
    try:
        return read_json(folder / METRICS).get("status")
    except Refusal:
        return None


def checkpoint(folder: Path, *names: str) -> Path | None:
    """The first of these checkpoints that a run folder has, as "best", "last"."""
    return next((file for name in names if (file := folder / "checkpoints" / f"{name}.ckpt").exists()), None)


def runs_in(folder: Path) -> list[Path]:
    """The run folders in a folder, such as a sweep's; Hydra's own .hydra is none."""
    return sorted(file.parent for file in folder.glob(f"[!.]*/{CONFIG}"))


def remove_parts(folder: Path) -> None:
    """Remove the half-written files that a killed process has left in a run folder."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


class InUse(Refusal):
    """Another process works in the folder."""


class Hold:
    """A folder that this process works in, and what it has made there before a run begins.

    Args:
        watched: names of files and folders in it that others, such as Hydra, write before a run begins.
        lock: keep other processes out.
        fresh: refuse a folder that exists already.

    Raises:
        InUse: if another process works there.
        FileExistsError: if the folder exists and should not.
    """

    def __init__(self, folder: Path, watched: tuple[str, ...], lock: bool, fresh: bool):
        self.folder, self.lock = folder, FileLock(folder / LOCK) if lock else None
        self.missing = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=not fresh)
            self.take()
        except BaseException:
            self.remove_folders()
            raise
        self.watched = [folder / name for name in watched]
        self.new = [path for path in self.watched if not path.exists()]
        self.before = {file: file.read_bytes() for file in self.settings()}

    def take(self) -> None:
        if self.lock is None:
            return
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            raise InUse(f"{self.folder} is in use: {holder(self.folder)}.") from None
        except (NotImplementedError, OSError) as error:  # the former comes from older versions of filelock
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            log.warning("This file system has no locks: nothing keeps a second process out of %s.", self.folder)
            self.lock = None
            return
        now = datetime.now().isoformat(sep=" ", timespec="seconds")
        write_text(self.folder / HOLDER, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}))

    def settings(self) -> list[Path]:
        """The YAML files in the watched folders."""
        return [file for path in self.watched for file in path.glob("*.yaml") if file.is_file()]

    def release(self) -> None:
        """Leave the folder. If no run and no sweep has begun in it, it looks as it did before this process came."""
        if not ((self.folder / CONFIG).exists() or (self.folder / MULTIRUN).exists()):
            with suppress(OSError):
                self.take_back()
        if self.lock is not None:
            for name in (HOLDER, LOCK):  # while the lock is held: whoever has opened the file sees that it is gone
                with suppress(OSError):
                    (self.folder / name).unlink()
            self.lock.release()
        self.remove_folders()

    def take_back(self) -> None:
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
        """Those that this process made, unless something lies in them."""
        with suppress(OSError):
            for path in self.missing:
                path.rmdir()


_held: dict[Path, Hold] = {}
"""the folders in which this process works"""


def hold(folder: Path, *watched: str, lock: bool = True) -> None:
    """Work in a folder until `all_released` ends; it is made if it isn't there. Holding it again changes nothing.

    Args:
        watched: names of files and folders in it that others write before a run begins.
        lock: keep other processes out.

    Raises:
        InUse: if another process works there.
    """
    if folder.absolute() not in _held:
        _held[folder.absolute()] = Hold(folder.absolute(), watched, lock, fresh=False)


def hold_new(folder: Path, *watched: str) -> Path:
    """Hold a folder that doesn't exist yet: this one, else `<folder>_2` and so on, which is returned."""
    for number in count(1):
        path = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        with suppress(FileExistsError):
            _held[path.absolute()] = Hold(path.absolute(), watched, lock=True, fresh=True)
            return path
    raise AssertionError


@contextmanager
def held(folder: Path, lock: bool = True) -> Iterator[None]:
    """Hold a folder for a while, unless this process holds it already.

    Raises:
        InUse: if another process works there.
    """
    if not lock or folder.absolute() in _held:
        yield
        return
    hold(folder)
    try:
        yield
    finally:
        _held.pop(folder.absolute()).release()


@contextmanager
def all_released() -> Iterator[None]:
    """Release at the end whatever this process holds."""
    try:
        yield
    finally:
        while _held:
            _held.popitem()[1].release()


def check_free(folder: Path) -> None:
    """
    Raises:
        InUse: if another process works in the folder.
    """
    if folder.absolute() in _held or not (folder / LOCK).exists():
        return
    try:
        with FileLock(folder / LOCK, timeout=0):
            pass
    except Timeout:
        raise InUse(f"{folder} is in use: {holder(folder)}.") from None


def holder(folder: Path) -> str:
    """Who works in a folder."""
    try:
        who = read_json(folder / HOLDER)
        told = f"process {who['pid']} on {who['host']} has worked there since {who['since']}"
    except (Refusal, KeyError):
        told = "another process works there"
    return f"{told}; wait until it ends, or choose another folder"

"""Read and write files safely: problems are refused in one sentence, and no file is ever left half-written."""

import errno
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from shutil import disk_usage
from typing import Any

import yaml

from scalian_exp.refusal import Refusal

UNREADABLE = (
    *(RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error),
)
"""exceptions of torch.load, depending on what a file holds and where it is cut off"""
REASONS = {
    errno.ENOSPC: "no space is left on the disk; free some and try again",
    errno.EDQUOT: "your quota on this disk is used up; free some space and try again",
    errno.EACCES: "permission denied; choose another place, or change its permissions",
    errno.EPERM: "the operation is not permitted there; choose another place, or change its permissions",
    errno.EROFS: "this file system is read-only; choose another place",
    errno.ENOENT: "there is no such file or folder; correct the path",
    errno.EEXIST: "something of this name exists already; remove it, or choose another place",
    errno.ENOTDIR: "a file is in the way where a folder is needed; remove it, or choose another place",
    errno.EISDIR: "this is a folder where a file is needed; choose another path",
    errno.ENAMETOOLONG: "this name is too long for the file system; choose a shorter one",
    errno.ELOOP: "its symbolic links form a circle; choose another path",
    errno.EFBIG: "the file would be larger than is allowed here; choose another place",
    errno.EIO: "the disk reports an error; check it, or choose another place",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENOTEMPTY: "this folder is not empty; choose another place",
    errno.EBUSY: "it is in use by something else; try again later, or choose another place",
    errno.ETXTBSY: "it is in use by something else; try again later, or choose another place",
    errno.ESTALE: "the network disk has lost it; try again",
    errno.EINVAL: "the file system doesn't allow this name; choose another one",
    errno.ENXIO: "this is not a regular file; choose another path",
}
"""maps errno to what is wrong and what to do"""
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ESTALE}
"""errors that can be explained without a file name, which is unknown when writing to an open file fails"""
TORCH_WRITES = re.compile(
    "PytorchStreamWriter failed|unexpected pos \\d+ vs|basic_ios::clear|"
    "Parent directory (?P<parent>.*) does not exist|File (?P<file>.*) cannot be opened"
)
"""messages of torch.save's RuntimeErrors when a file can't be written: it swallows the errno"""
ALLOCATIONS = re.compile(
    "tried to allocate \\d+ bytes|Storage size calculation overflowed|Overflow when unpacking long"
)
"""messages of torch's RuntimeErrors when memory is too small or an address overflows"""
FULL = 2**20
"""with fewer free bytes, the disk counts as full"""
MOST_VALUES = 1_000_000
"""limit on the values in a YAML file, aliases counted as often as they are used"""


def reason(error: BaseException) -> str | None:
    """Explain in one sentence why a file or memory operation failed; return None for other exceptions."""
    if isinstance(error, OSError) and error.errno in REASONS:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        text = REASONS[error.errno]
        if names:
            return f"{names[-1]}: {text}."  # a second name is the destination of a temporary file
        return f"{text[0].upper()}{text[1:]}." if error.errno in OF_THE_DISK else None
    if isinstance(error, RuntimeError) and (match := TORCH_WRITES.search(str(error))):
        inner = next((e for e in (error.__cause__, error.__context__) if isinstance(e, OSError)), None)
        if inner is not None and (explanation := reason(inner)):
            return explanation
        where = match["parent"] or match["file"] or "A checkpoint"
        return f"{where} can't be written; is the disk full, or the folder read-only or gone? Fix that and try again."
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and ALLOCATIONS.search(str(error))):
        return "There is not enough memory for this; use fewer or smaller examples at once, or a smaller network."
    return None


@contextmanager
def failures_refused() -> Iterator[None]:
    """Turn file system and memory errors into a Refusal; also usable as a decorator.

    Raises:
        Refusal: in place of the errors of the file system, of torch.save, or of an allocation that is too large.
    """
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        if (text := reason(error)) is None:
            raise
        raise Refusal(text) from error


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path beside it, which replaces the file at the end.

    The temporary file has a unique name and is removed if anything fails. The folder is created if needed.

    Raises:
        OSError: if the path is something other than a regular file, such as /dev/null, which must not be replaced.
    """
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if file.exists() and not file.is_file():
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name[:40]}.{token_hex(4)}.part")
    try:
        yield part
        part.replace(file)
    except BaseException as error:
        full = (
            isinstance(error, RuntimeError) and TORCH_WRITES.search(str(error)) and disk_usage(file.parent).free < FULL
        )
        with suppress(OSError):
            part.unlink()
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file)) from error
        raise


def write_text(file: Path, text: str) -> None:
    """Write a text file atomically; create its folder if needed."""
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")


def check_regular(file: Path, advice: str) -> None:
    """Refuse a FIFO, a device or a folder where a file is about to be read: opening a FIFO would wait forever.

    Args:
        file: its path, which may be missing.
        advice: what to do; ends the message.

    Raises:
        Refusal: if it is something other than a regular file.
    """
    if file.exists() and not file.is_file():
        raise Refusal(f"{file} is not a regular file; {advice}.")


def read_text(file: Path, advice: str = "restore it from a copy") -> str:
    """Read a UTF-8 text file.

    Args:
        file: its path.
        advice: what to do if it can't be read; ends the message.

    Raises:
        Refusal: if it is missing, unreadable, not a regular file, or not text.
    """
    try:
        check_regular(file, advice)
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(f"{file} is damaged: it is not text; {advice}.") from error
    except OSError as error:
        raise Refusal(reason(error) or f"{file} can't be read ({error.strerror}); {advice}.") from error


def read_json(file: Path, shape: type = dict, advice: str = "restore it from a copy") -> Any:
    """Read a JSON file.

    Args:
        file: its path.
        shape: type of its outermost value.
        advice: what to do if it is damaged; ends the message.

    Raises:
        Refusal: if it is missing, unreadable, not JSON, or of another type.
    """
    text = read_text(file, advice)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{file} is damaged: it is {'not JSON' if text.strip() else 'empty'}; {advice}.") from error
    return of_shape(file, value, shape, advice)


def read_yaml(file: Path, shape: type = dict, advice: str = "restore it from a copy") -> Any:
    """Read a YAML file of plain data, without tags or circular references.

    Args:
        file: its path.
        shape: type of its outermost value.
        advice: what to do if it is damaged; ends the message.

    Raises:
        Refusal: if it is missing, unreadable, not plain YAML, or of another type.
    """
    text = read_text(file, advice)
    try:
        value = yaml.safe_load(text)
        if values_in(value, {}) > MOST_VALUES:
            raise ValueError("too many values")
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise Refusal(f"{file} is damaged: it is not YAML of plain values; {advice}.") from error
    return of_shape(file, value, shape, advice)


def of_shape(file: Path, value: Any, shape: type, advice: str) -> Any:
    """Return the value read from a file if it has the expected type.

    Raises:
        Refusal: if it has another type.
    """
    if isinstance(value, shape):
        return value
    problem = "empty" if value is None else "not names with values" if shape is dict else "not a list"
    raise Refusal(f"{file} is damaged: it is {problem}; {advice}.")


def values_in(value: Any, counts: dict[int, int]) -> int:
    """Count the values in nested lists and dictionaries; a value behind an alias counts each time the alias is used.

    Args:
        value: a list, a dictionary or a plain value.
        counts: maps the id of a list or dictionary to its count; 0 while it is being counted.

    Raises:
        ValueError: if a list or dictionary contains itself.
        TypeError: if a value is neither a number, a string, true, false nor null.
    """
    if not isinstance(value, list | dict):
        if not isinstance(value, str | int | float | None):
            raise TypeError(f"{type(value).__name__} is not a plain value")
        return 1
    if id(value) in counts:
        if not counts[id(value)]:
            raise ValueError("it contains itself")
        return counts[id(value)]
    counts[id(value)] = 0
    inside = value if isinstance(value, list) else [*value, *value.values()]
    counts[id(value)] = 1 + sum(values_in(item, counts) for item in inside)
    return counts[id(value)]

"""Files from the network: checked by hash, whole or not at all, and not twice at a time."""

import glob
import hashlib
import platform
import re
import shutil
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from filelock import FileLock

from scalian_exp.files import check_regular
from scalian_exp.refusal import Refusal

TIMEOUT = 60
"""seconds without an answer"""
STALE = 600
"""seconds after which a download that doesn't grow is dead"""
HOST = platform.node() or "localhost"
ENCRYPTED = ("https://", "file://")
"""what addresses of downloads begin with; a file of this machine needs no encryption"""


@contextmanager
def one_at_a_time(root: str | None) -> Iterator[None]:
    """Of all processes of this machine only one prepares the data in a folder; the others wait until it has."""
    if root is None:
        yield
        return
    name = hashlib.md5(str(root).encode(), usedforsecurity=False).hexdigest()
    with FileLock(Path(tempfile.gettempdir()) / f"scalian_exp_{name}.lock", mode=0o666):
        yield


def sha256_of(file: Path) -> str:
    check_regular(file, "remove it")
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def sources(address: str, *mirrors: str) -> list[str]:
    """Where a file can be had, in this order; the Internet Archive's copy is the last resort."""
    archived = f"https://web.archive.org/web/2024id_/{address}"
    return [address, *mirrors, *([archived] if address.startswith("https:") else [])]


def fetch(urls: Sequence[str], target: Path, sha256: str) -> None:
    """Download a file to `target` unless it is there.

    Args:
        urls: addresses of the same file; each is tried until what arrives has the hash.

    Raises:
        Refusal: if none of them has it, or if what lies there is something else.
    """
    remove_parts(target)
    if target.exists():
        if sha256_of(target) != sha256:
            raise Refusal(f"{target} is broken or another file; delete it, and the next start downloads it again.")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in urls:
        part = target.with_name(f"{target.name}.{HOST}.{uuid.uuid4().hex}.part")
        try:
            retrieve(url, part)
            if sha256_of(part) == sha256:
                part.replace(target)
                return
            reasons.append(f"{url}: what came has another hash")
        except (OSError, HTTPException) as error:
            reasons.append(f"{url}: {error}")
        finally:
            part.unlink(missing_ok=True)
    raise Refusal(
        f"{target} is missing and could not be downloaded ({'; '.join(reasons)}); put the file there yourself, or say "
        "with dataset.root where it lies."
    )


def remove_parts(target: Path) -> None:
    """Remove what killed downloads of a file have left. On this machine no other is at work (`one_at_a_time`); those of
    other machines that share the folder stay while they grow."""
    for part in target.parent.glob(f"{glob.escape(target.name)}.*part"):
        other = re.fullmatch(r"(.+)\.[0-9a-f]{32}\.part", part.name.removeprefix(f"{target.name}."))
        growing = other and other[1] != HOST and time.time() - part.stat().st_mtime < STALE
        if part.is_file() and not growing:
            part.unlink(missing_ok=True)


def retrieve(url: str, target: Path) -> None:
    """Download a file, without any check of what arrives.

    Raises:
        OSError: if it can't be had, or the address is not encrypted.
    """
    if not url.startswith(ENCRYPTED):
        raise OSError("this address is not https")
    target.parent.mkdir(parents=True, exist_ok=True)
    with OPENER.open(url, timeout=TIMEOUT) as answer, target.open("wb") as file:
        shutil.copyfileobj(answer, file)


def retrieve_any(urls: Sequence[str], target: Path) -> None:
    """The same from the first of several addresses that has it.

    Raises:
        OSError: what the first one raised, if none has it.
    """
    first: Exception | None = None
    for url in urls:
        try:
            return retrieve(url, target)
        except (OSError, HTTPException) as error:
            first = first or error
    raise OSError(str(first)) from first


class OnlyEncrypted(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to an address that is not encrypted."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith("https:"):
            raise OSError(f"it leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


OPENER = urllib.request.build_opener(OnlyEncrypted)

"""Downloads: verified by hash, complete or absent, and never the same file twice at once."""

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
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from filelock import FileLock

from scalian_exp.files import check_regular
from scalian_exp.refusal import Refusal

TIMEOUT = 60
"""Seconds to wait for an answer."""
STALE = 600
"""Seconds after which a download that doesn't grow is considered dead."""
HOST = platform.node() or "localhost"
ENCRYPTED = ("https://", "file://")
"""Accepted prefixes of download addresses; a local file needs no encryption."""


@contextmanager
def one_at_a_time(root: str | None) -> Iterator[None]:
    """Let only one process of this machine prepare the data in a folder; the others wait until it is done."""
    if root is None:
        yield
        return
    name = hashlib.md5(str(root).encode(), usedforsecurity=False).hexdigest()
    lock = FileLock(Path(tempfile.gettempdir()) / f"scalian_exp_{name}.lock", mode=0o666)
    with lock, leaving_no_empty_folders(Path(root)):
        yield


@contextmanager
def leaving_no_empty_folders(root: Path) -> Iterator[None]:
    """If what follows fails, remove the folders that it made at `root` and inside, and around it, and left empty."""
    before = {*root.iterdir()} if root.is_dir() else set()
    around = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        made = [path for path in root.iterdir() if path not in before] if root.is_dir() else []
        inside = [folder for path in made for folder in (path, *path.rglob("*")) if folder.is_dir()]
        for folder in [*sorted(inside, key=lambda folder: -len(folder.parts)), *around]:
            with suppress(OSError):  # it has files
                folder.rmdir()
        raise


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    check_regular(file, "remove it")
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def sources(address: str, *mirrors: str) -> list[str]:
    """Return the addresses to try for a file, in order; the Internet Archive's copy comes last."""
    archived = f"https://web.archive.org/web/2024id_/{address}"
    return [address, *mirrors, *([archived] if address.startswith("https:") else [])]


def fetch(urls: Sequence[str], target: Path, sha256: str) -> None:
    """Download a file to `target` unless it is already there.

    Args:
        urls: addresses of the same file, tried in turn until a download has the expected hash.
        target: where the file goes.
        sha256: the expected hash, in hexadecimal.

    Raises:
        Refusal: if no address delivers the file, or if `target` is a different file.
    """
    remove_parts(target)
    if target.exists():
        if sha256_of(target) != sha256:
            raise Refusal(f"{target} is broken or a different file; delete it, and the next run downloads it again.")
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
            reasons.append(f"{url}: the download has another hash")
        except (OSError, HTTPException) as error:
            reasons.append(f"{url}: {error}")
        finally:
            part.unlink(missing_ok=True)
    raise Refusal(
        f"{target} is missing and could not be downloaded ({'; '.join(reasons)}); put the file there yourself, or set "
        "dataset.root to the folder that has it."
    )


def remove_parts(target: Path) -> None:
    """Remove the partial files of interrupted downloads.

    On this machine no other download is running (see `one_at_a_time`); partial files of other machines that share the
    folder are kept while they grow.
    """
    for part in target.parent.glob(f"{glob.escape(target.name)}.*part"):
        other = re.fullmatch(r"(.+)\.[0-9a-f]{32}\.part", part.name.removeprefix(f"{target.name}."))
        growing = other and other[1] != HOST and time.time() - part.stat().st_mtime < STALE
        if part.is_file() and not growing:
            part.unlink(missing_ok=True)


def retrieve(url: str, target: Path) -> None:
    """Download a file without verifying its content.

    Raises:
        OSError: if the download fails, or the address is not encrypted.
    """
    if not url.startswith(ENCRYPTED):
        raise OSError("this address is not https")
    target.parent.mkdir(parents=True, exist_ok=True)
    with OPENER.open(url, timeout=TIMEOUT) as answer, target.open("wb") as file:
        shutil.copyfileobj(answer, file)


def retrieve_any(urls: Sequence[str], target: Path) -> None:
    """Download a file from the first address that delivers it, without verifying its content.

    Raises:
        OSError: the first address's error, if all of them fail.
    """
    first: Exception | None = None
    for url in urls:
        try:
            return retrieve(url, target)
        except (OSError, HTTPException) as error:
            first = first or error
    raise OSError(str(first)) from first


class OnlyEncrypted(urllib.request.HTTPRedirectHandler):
    """Redirect handler that refuses addresses without encryption."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Follow a redirect to an https address; raise OSError for any other."""
        if not newurl.startswith("https:"):
            raise OSError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


OPENER = urllib.request.build_opener(OnlyEncrypted)

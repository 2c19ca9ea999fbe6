"""Files from the network: checked by hash, whole or not at all, and not twice at a time."""

import hashlib
import shutil
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from scalian_exp.refusal import Refusal

TIMEOUT = 60
"""seconds without an answer"""


@contextmanager
def one_at_a_time(root: str | None) -> Iterator[None]:
    """Of all processes of this machine only one prepares the data in a folder; the others wait until it has."""
    if root is None:
        yield
        return
    name = hashlib.md5(str(root).encode(), usedforsecurity=False).hexdigest()
    with FileLock(Path(tempfile.gettempdir()) / f"scalian_exp_{name}.lock", mode=0o666):
        yield


def md5_of(file: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def fetch(url: str, target: Path, md5: str) -> None:
    """Bring a file to `target` unless it is there.

    Raises:
        Refusal: if it can't be had, or if what lies there is something else.
    """
    if target.exists():
        if md5_of(target) != md5:
            raise Refusal(f"{target} is broken or another file; delete it, and the next start downloads it again.")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")  # several machines may share a folder
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file)
        if md5_of(part) != md5:
            raise OSError("what came has another hash")
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Refusal(
            f"{target} is missing and {url} could not be downloaded ({error}); "
            "put the file there yourself, or say with dataset.root where it lies."
        ) from error
    part.replace(target)

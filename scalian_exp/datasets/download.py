"""Files from the network: checked by hash, and whole or not at all."""

import hashlib
import shutil
import urllib.request
from pathlib import Path

from scalian_exp.refusal import Refusal

TIMEOUT = 60
"""seconds without an answer"""


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
    part = target.with_name(target.name + ".part")
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

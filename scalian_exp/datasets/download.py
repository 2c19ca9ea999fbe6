"""Files from the network: checked by hash, and whole or not at all."""

from pathlib import Path
from urllib.error import URLError

from torchvision.datasets.utils import check_integrity, download_url

from scalian_exp.refusal import Refusal


def fetch(url: str, target: Path, md5: str) -> None:
    """Bring a file to `target` unless it is there.

    Raises:
        Refusal: if it can't be had, or if what lies there is something else.
    """
    if target.exists():
        if not check_integrity(str(target), md5):
            raise Refusal(f"{target} is broken or another file; delete it, and the next start downloads it again.")
        return
    part = target.with_name(target.name + ".part")
    try:
        download_url(url, str(target.parent), part.name, md5)
    except (URLError, OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise Refusal(
            f"{target} is missing and {url} could not be downloaded ({error}); "
            "put the file there yourself, or say with dataset.root where it lies."
        ) from error
    part.replace(target)

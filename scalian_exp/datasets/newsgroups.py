"""Read 20 newsgroups from the published archive, because scikit-learn caches it as a pickle."""

import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scalian_exp.datasets.download import fetch, sources
from scalian_exp.refusal import Refusal

ARCHIVE = "20news-bydate.tar.gz"
URLS = (
    *sources("https://ndownloader.figshare.com/files/5975967"),
    *sources("https://qwone.com/~jason/20Newsgroups/20news-bydate.tar.gz"),
)
SHA256 = "8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610"


class Message(NamedTuple):
    """A message and the name of its newsgroup."""

    text: str
    group: str


def archive(root: str) -> Path:
    """Return the path of the archive in a folder, downloading it if it is missing.

    Raises:
        Refusal: if the download fails, or a different file has its name.
    """
    file = Path(root) / ARCHIVE
    fetch(URLS, file, SHA256)
    return file


def messages(file: Path, remove: tuple[str, ...]) -> dict[str, list[Message]]:
    """Read the messages of train and test, in scikit-learn's order.

    Args:
        file: the archive.
        remove: what to remove from the texts: headers, footers, quotes.

    Raises:
        Refusal: if the archive is not that of 20 newsgroups.
    """
    from sklearn.datasets import _twenty_newsgroups as cleaning

    read: dict[str, dict[str, Message]] = {"train": {}, "test": {}}
    with tarfile.open(file) as opened:
        for member in opened:
            folder, *below = member.name.split("/")
            split = folder.removeprefix("20news-bydate-")
            if split in read and len(below) == 2 and member.isfile() and (content := opened.extractfile(member)):
                text = content.read().decode("latin1")
                if "headers" in remove:
                    text = cleaning.strip_newsgroup_header(text)
                if "footers" in remove:
                    text = cleaning.strip_newsgroup_footer(text)
                if "quotes" in remove:
                    text = cleaning.strip_newsgroup_quoting(text)
                read[split]["/".join(below)] = Message(text, below[0])
    if not all(read.values()):
        raise Refusal(f"{file} is not the archive of 20 newsgroups; delete it, and the next run downloads it again.")
    result = {}
    for split, by_name in read.items():
        order = np.arange(len(by_name))
        np.random.RandomState(0).shuffle(order)  # scikit-learn's shuffle
        names = sorted(by_name, key=lambda name: name.split("/"))
        result[split] = [by_name[names[index]] for index in order]
    return result

"""Fingerprints of a run's data, stored in its checkpoints, so that a run never resumes on other data unnoticed.

The meaning of a network's inputs and outputs must match wherever its weights are used. The splits must match only when
training resumes: a run may be evaluated on data that has grown, or on other data with the same classes.

Image files count by their names, not their contents. A hash of the contents would cost a pass over all files at every
start, which for a large folder or a network drive takes minutes, and would refuse to resume where one broken file has
been repaired or replaced. Size and time of change don't tell: copying changes the one, re-encoding the other.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scalian_exp.refusal import Refusal

CLASSES, EXAMPLES, FOLD = "classes", "splits", "fold"
"""Entries unrelated to a network's inputs: the class names in order; split → `identity`; the fold that is validated."""
SPOKEN = {"train": "training", "val": "validation", "test": "test"}


def hash_of(value: Sequence[Any]) -> str:
    """Return the SHA-256 of a sequence of texts and numbers, which depends on their order."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


def identity(names: Sequence[str]) -> dict[str, Any]:
    """Return the fingerprint of a split: its size and a hash of the examples' names (or contents)."""
    return {"size": len(names), "hash": hash_of(names)}


def check_classes(then: Any, now: list[str], where: str) -> None:
    """Refuse data whose classes are not those that the network learned.

    Args:
        then: the checkpoint's entry for the classes; anything but a list is ignored.
        now: the class names of the data.
        where: where the data lies, for the message.

    Raises:
        Refusal: if the classes differ.
    """
    if then == now or not isinstance(then, list):
        return
    lacking, new = [name for name in then if name not in now], [name for name in now if name not in then]
    parts = [f"without {', '.join(map(str, lacking))}"] * bool(lacking) + [f"with {', '.join(new)}"] * bool(new)
    raise Refusal(
        f"{where} has other classes than this run learned ({' and '.join(parts)}), so the network's outputs would be "
        "misread; give the classes their old names, or set dataset.root=… to data with the same classes."
    )


def check_fold(then: Any, now: str | None) -> None:
    """Refuse to go on with another fold, whose validation examples may have been trained on.

    Args:
        then: the checkpoint's entry for the fold; None without folds.
        now: the fold of the data.

    Raises:
        Refusal: if they differ.
    """
    if then != now:
        before = f"on dataset.fold={then}" if then else "without folds"
        raise Refusal(f"This run began {before}, not dataset.fold={now or 'null'}; set it back, or start a new run.")


def check_splits(then: Any, now: Mapping[str, dict[str, Any]], where: str, what: str) -> None:
    """Refuse to resume a run on splits other than those it began with.

    Args:
        then: the checkpoint's entry for the splits; anything but a dict is ignored.
        now: split → identity of the data.
        where: where the data lies, for the message.
        what: what the examples are called in the message, such as images.

    Raises:
        Refusal: if a split has other examples now.
    """
    if not isinstance(then, dict):
        return
    changes = []
    for name, current in now.items():
        match then.get(name):
            case {"size": size, "hash": old} if old != current["hash"]:
                same = ", but not the same ones" if size == current["size"] else ""
                changes.append(f"for {SPOKEN.get(name, name)} {size} then, {current['size']} now{same}")
    if changes:
        raise Refusal(
            f"The {what} in {where} are not those that this run began with ({'; '.join(changes)}): put the old "
            "files back under their old names (another file may replace a broken one), set dataset.root=… to the "
            "folder that has them now, or start a new run from these weights, with init_from=RUN."
        )


def refuse_shared(splits: Mapping[str, Iterable[Path]]) -> None:
    """Refuse a file that is in two splits, by a link: the network would be tested on what it is trained on.

    Raises:
        Refusal: with both names of the file.
    """
    owners: dict[tuple[int, int], tuple[str, Path]] = {}
    for split in SPOKEN:
        for path in splits[split]:
            if not path.exists():
                continue  # a broken link, which is refused when it is opened
            state = path.stat()
            other, first = owners.setdefault((state.st_dev, state.st_ino), (split, path))
            if other != split:
                raise Refusal(f"{first} for {other} and {path} for {split} are the same file; remove one of them.")

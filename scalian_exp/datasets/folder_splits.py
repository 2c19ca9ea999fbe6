"""List the images in a user's folder and assign them to the splits train, val and test.

A folder's layout is either recognised or refused; files left out are counted and reported.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from scalian_exp.datasets.identity import identity
from scalian_exp.datasets.image_files import SUFFIXES, Picture, pages
from scalian_exp.refusal import Refusal

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Lower-case folder name → split that the folder holds."""
SIMILAR = {
    **SPLITS,
    **dict.fromkeys(("trn", "tr"), "train"),
    **dict.fromkeys(("tst", "te", "eval", "evaluation", "holdout"), "test"),
}
"""Lower-case word in a folder's name → split that it suggests."""
SYSTEM_FILES = {
    "__MACOSX",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "Thumbs.db",
    "desktop.ini",
}
"""Files and folders that operating systems create."""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or belongs to the operating system."""
    return name.startswith(".") or name in SYSTEM_FILES


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return a folder's entries sorted by name, links last: a file is listed where it lies, not where a link points."""
    with os.scandir(folder) as content:
        return sorted(content, key=lambda entry: (entry.is_symlink(), entry.name))


def subfolders(folder: Path) -> list[Path]:
    """Return the visible subfolders of a folder, links to folders included."""
    return sorted(Path(entry) for entry in entries(folder) if entry.is_dir() and not is_hidden(entry.name))


def image_files(folder: Path, skipped: Counter[str]) -> list[Path]:
    """Return all image files below a folder, sorted; links are followed, but no folder is read twice.

    Args:
        folder: the folder to search.
        skipped: counts the entries left out, by reason; updated in place.
    """
    return sorted(below(folder, {folder.resolve()}, skipped))


def below(folder: Path, visited: set[Path], skipped: Counter[str]) -> Iterator[Path]:
    """Yield the image files below a folder, skipping real paths in `visited`; updates `visited` and `skipped`."""
    for entry in entries(folder):
        path, suffix = Path(entry), Path(entry.name).suffix.lower()
        if is_hidden(entry.name):
            skipped["hidden"] += 1
        elif entry.is_dir():
            if (real := path.resolve()) in visited:
                skipped["link to a folder that was already read"] += 1
                continue
            visited.add(real)
            yield from below(path, visited, skipped)
        elif suffix not in SUFFIXES:
            skipped[f"{suffix or 'without suffix'} (not a supported image format)"] += 1
        elif entry.is_file() or not path.exists():  # a broken link is refused when it is opened
            yield path
        else:
            skipped["not a regular file"] += 1


def given_splits(root: Path, skipped: Counter[str]) -> dict[str, Path]:
    """Return the split folders in a root: train, and val and test where present; without any, the root itself is train.

    Args:
        root: the folder to search.
        skipped: counts images that lie beside the split folders, such as a preview; updated in place.

    Raises:
        Refusal: if there are split folders but none to train on, two for one split, or other folders of images beside
            them; or folders with names that resemble splits, such as seg_train and seg_test.
    """
    given: dict[str, Path] = {}
    folders, others = subfolders(root), list[str]()
    alone = not any(SPLITS.get(folder.name.lower()) == "train" for folder in folders)
    for folder in folders:
        name = folder.name.lower()
        split = None if name == "dev" and alone else SPLITS.get(name)  # may be a class, next to prod and staging
        if split is None:
            others += [folder.name] if has_images(folder) else []
        elif split in given:
            raise Refusal(f"{root} has two folders for {split}, {given[split].name} and {folder.name}; keep one.")
        else:
            given[split] = folder
    names = listed(folder.name for folder in given.values())
    if given and others:
        raise Refusal(
            f"{root} has {listed(others)} beside {names}, which may be splits or classes; put everything to train on "
            f"into {root / 'train'}, with classes as its subfolders, and what belongs to no split elsewhere."
        )
    if given and "train" not in given:
        raise Refusal(f"{root} has {names}, but no folder train; add it, or rename {min(given.values()).name}.")
    if len({folder.resolve() for folder in given.values()}) < len(given):
        raise Refusal(f"Some of {names} in {root} are links to the same folder; give each split its own images.")
    if not given:
        refuse_similar(
            root, f"rename them to train, val and test, or, if they are classes, put them into {root / 'train'}"
        )
    loose = sum(entry.is_file() and is_image(entry.name) for entry in entries(root)) if given else 0
    if loose:
        skipped[f"beside {names}"] += loose
    return given or {"train": root}


def has_images(folder: Path) -> bool:
    """Return whether a folder contains an image file at any depth; stops at the first one."""
    return any(below(folder, {folder.resolve()}, Counter()))


def refuse_similar(folder: Path, advice: str) -> None:
    """Refuse a folder whose subfolders look like splits without having their exact names.

    Raises:
        Refusal: with this advice, if one subfolder looks like a training split and another like a held-out one.
    """
    similar = {path.name: split for path in subfolders(folder) if (split := split_in(path.name))}
    if "train" in similar.values() and len({*similar.values()}) > 1:
        raise Refusal(f"{folder} has {listed(similar)}, which look like splits; {advice}.")


def split_in(name: str) -> str | None:
    """Return the split that a folder's name suggests: train for seg_train, TrainImages, training_set or train2017."""
    parts = [part.lower().removesuffix("set") for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    splits = {SIMILAR[part] for part in parts if part in SIMILAR}
    return splits.pop() if len(splits) == 1 else None


def refuse_splits_below(root: Path) -> None:
    """Refuse a root with the splits one level too deep, where each subfolder would be taken for a class.

    Raises:
        Refusal: if a subfolder has folders that look like splits.
    """
    for folder in subfolders(root):
        refuse_similar(folder, f"if they are, give {folder} as dataset.root; otherwise rename them")


def is_image(name: str) -> bool:
    """Return whether a file's name has the suffix of a supported image format."""
    return not is_hidden(name) and Path(name).suffix.lower() in SUFFIXES


def listed(names: Iterator[str] | Collection[str], most: int = 4) -> str:
    """Join names for a message; from the fifth on they are only counted."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def place(path: Path, root: Path) -> float:
    """Return an image's position in [0, 1), by its name alone: adding or removing images doesn't move the others.

    With a random order, repairing a folder would move training images into the test split of a resumed run.
    """
    name = path.relative_to(root).as_posix().encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:6], "big") / 2**48


def shared_out(paths: list[Path], root: Path, missing: Sequence[str], share: float) -> dict[str, list[int]]:
    """Return the indices of a share of the files for each missing split, by their names, and of the rest for train."""
    rest = sorted(range(len(paths)), key=lambda index: place(paths[index], root))
    shares, end = {}, 0.0
    for name in missing:
        end += share
        taken = [index for index in rest if place(paths[index], root) < end]
        taken = taken or rest[: share > 0]  # at least one, however few images there are
        shares[name], rest = sorted(taken), rest[len(taken) :]
    return {**shares, "train": sorted(rest)}


def refuse_empty(splits: Mapping[str, Sized], root: Path, share: float, skipped: Counter[str]) -> None:
    """Refuse a folder that leaves a split without images.

    Raises:
        Refusal: if a split has no images.
    """
    if empty := [name for name in ("train", "val", "test") if not splits.get(name)]:
        raise Refusal(
            f"{root} leaves no images for {' and '.join(empty)}; it needs more images (.png, .jpg, .tif, or any other "
            "format that Pillow reads; the pages of a file stay in one split), or another dataset.held_out (now "
            f"{share})." + (f" Left out: {counted(skipped)}." if skipped else "")
        )


def pictures(paths: Sequence[Path]) -> list[list[Picture]]:
    """Return the pictures in each file: one, or every page of a stack.

    Raises:
        Refusal: if a file is not an image.
    """
    with ThreadPoolExecutor() as pool:
        frames = list(pool.map(pages, paths))
    return [[Picture(path, frame) for frame in numbers] for path, numbers in zip(paths, frames, strict=True)]


def identity_of(pictures: Iterable[Picture], folder: Path) -> dict[str, Any]:
    """Return the identity of a split's pictures: based on their paths below its folder, so the folder may be moved."""
    return identity([f"{path.relative_to(folder).as_posix()}#{frame}" for path, frame in pictures])


def counted(numbers: Mapping[str, int]) -> str:
    """Format counts for a message: "3 hidden, 1 .txt"."""
    return ", ".join(f"{number} {what}" for what, number in numbers.items())


@rank_zero_only
def print_summary(root: Path, what: str, splits: Mapping[str, Sized], skipped: Counter[str], more: str = "") -> None:
    """Print a folder's split sizes and what was left out; only in the main process."""
    sizes = ", ".join(f"{name} {len(splits[name])}" for name in ("train", "val", "test"))
    print(f"{'data':<12} {root}: {what}: {sizes}{more}")
    if skipped:
        print(f"{'left out':<12} {counted(skipped)}")

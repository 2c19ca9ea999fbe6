"""A user's folder of images: which files it holds, and which of them train, validate and test.

What is there is understood or refused; what is left out is counted, for a line that says so.
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
"""name of a folder, in small letters → the split that it holds"""
OF_OTHERS = {
    "__MACOSX",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "Thumbs.db",
    "desktop.ini",
}
"""what systems leave in folders"""


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name in OF_OTHERS


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder; links last, so that a file is found where it is rather than where a link leads to it."""
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: (entry.is_symlink(), entry.name))


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, and links to folders, without hidden ones."""
    return sorted(Path(entry) for entry in entries(folder) if entry.is_dir() and not is_hidden(entry.name))


def image_files(folder: Path, skipped: Counter[str]) -> list[Path]:
    """All image files below a folder, sorted. Links are followed; what links lead to again is left out.

    Args:
        skipped: counts what is left out, by its reason.
    """
    return sorted(below(folder, {folder.resolve()}, skipped))


def below(folder: Path, visited: set[Path], skipped: Counter[str]) -> Iterator[Path]:
    for entry in entries(folder):
        path, suffix = Path(entry), Path(entry.name).suffix.lower()
        if is_hidden(entry.name):
            skipped["hidden"] += 1
        elif entry.is_dir():
            if (real := path.resolve()) in visited:
                skipped["link to a folder that is read already"] += 1
                continue
            visited.add(real)
            yield from below(path, visited, skipped)
        elif suffix not in SUFFIXES:
            skipped[f"{suffix or 'without suffix'} (no image format that is read)"] += 1
        elif entry.is_file() or not path.exists():  # a broken link is told when it is opened
            yield path
        else:
            skipped["no regular file"] += 1


def given_splits(root: Path, skipped: Counter[str]) -> dict[str, Path]:
    """train, and perhaps val and test → their folders; without any, the root itself is train.

    Args:
        skipped: counts images that lie beside the folders, as a preview does.

    Raises:
        Refusal: if there are such folders but none to train on, two for one split, or other folders of images beside
            them; or folders of similar names, as seg_train and seg_test.
    """
    given: dict[str, Path] = {}
    folders, others = subfolders(root), list[str]()
    alone = not any(SPLITS.get(folder.name.lower()) == "train" for folder in folders)
    for folder in folders:
        name = folder.name.lower()
        split = None if name == "dev" and alone else SPLITS.get(name)  # it may be a class, as beside prod and staging
        if split is None:
            others += [folder.name] if has_images(folder) else []
        elif split in given:
            raise Refusal(f"{root} has two folders for {split}, {given[split].name} and {folder.name}; keep one.")
        else:
            given[split] = folder
    names = listed(folder.name for folder in given.values())
    if given and others:
        raise Refusal(
            f"{root} has {listed(others)} beside {names}, which may be splits or classes; put all that is to be "
            f"trained on into {root / 'train'}, classes as subfolders of it, and what belongs to no split elsewhere."
        )
    if given and "train" not in given:
        raise Refusal(f"{root} has {names}, but no folder train; add it, or rename {min(given.values()).name}.")
    if len({folder.resolve() for folder in given.values()}) < len(given):
        raise Refusal(f"Some of {names} in {root} are links to one folder; give each split images of its own.")
    if not given:
        refuse_similar(
            root, f"rename them to train, val and test, or, if they are classes, put them into {root / 'train'}"
        )
    loose = sum(entry.is_file() and is_image(entry.name) for entry in entries(root)) if given else 0
    if loose:
        skipped[f"beside {names}"] += loose
    return given or {"train": root}


def has_images(folder: Path) -> bool:
    """Does an image file lie below a folder? The first one found is enough."""
    return any(below(folder, {folder.resolve()}, Counter()))


def refuse_similar(folder: Path, advice: str) -> None:
    """
    Raises:
        Refusal: if subfolders look like one to train on and one to measure on.
    """
    similar = {path.name: split for path in subfolders(folder) if (split := split_in(path.name))}
    if "train" in similar.values() and len({*similar.values()}) > 1:
        raise Refusal(f"{folder} has {listed(similar)}, which look like splits; {advice}.")


def split_in(name: str) -> str | None:
    """The split that a folder's name speaks of: train for seg_train, TrainImages, training_set or train2017."""
    parts = [part.lower().removesuffix("set") for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    found = {SPLITS[part] for part in parts if part in SPLITS}
    return found.pop() if len(found) == 1 else None


def refuse_splits_below(root: Path) -> None:
    """
    Raises:
        Refusal: if a subfolder, which would be a class, has folders that look like splits.
    """
    for folder in subfolders(root):
        refuse_similar(folder, f"if they are, give {folder} as dataset.root; else rename them")


def is_image(name: str) -> bool:
    return not is_hidden(name) and Path(name).suffix.lower() in SUFFIXES


def listed(names: Iterator[str] | Collection[str], most: int = 4) -> str:
    """Some names, for a sentence."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def place(path: Path, root: Path) -> float:
    """Where an image stands between 0 and 1, by its name alone: when images come or go, the others stay in their split.

    With a random order, repairing a folder would move training images into the test split of a resumed run.
    """
    name = path.relative_to(root).as_posix().encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:6], "big") / 2**48


def shared_out(paths: list[Path], root: Path, missing: Sequence[str], share: float) -> dict[str, list[int]]:
    """Indices of files for every missing split, chosen by their names, and under train those that are left."""
    rest = sorted(range(len(paths)), key=lambda index: place(paths[index], root))
    shares, end = {}, 0.0
    for name in missing:
        end += share
        taken = [index for index in rest if place(paths[index], root) < end]
        taken = taken or rest[: share > 0]  # of few images at least one
        shares[name], rest = sorted(taken), rest[len(taken) :]
    return {**shares, "train": sorted(rest)}


def refuse_empty(splits: Mapping[str, Sized], root: Path, share: float, skipped: Counter[str]) -> None:
    """Refuse a folder that leaves a split without images.

    Raises:
        Refusal: if a split is without images.
    """
    if empty := [name for name in ("train", "val", "test") if not splits.get(name)]:
        raise Refusal(
            f"{root} leaves no images for {' and '.join(empty)}; it needs more images (.png, .jpg, .tif, and what else "
            f"Pillow reads; pages of one file stay in one split), or another dataset.held_out (now {share})."
            + (f" Left out were {counted(skipped)}." if skipped else "")
        )


def pictures(paths: Sequence[Path]) -> list[list[Picture]]:
    """The pictures in each file: one, or each page of a stack.

    Raises:
        Refusal: if a file is no image.
    """
    with ThreadPoolExecutor() as pool:
        frames = list(pool.map(pages, paths))
    return [[Picture(path, frame) for frame in found] for path, found in zip(paths, frames, strict=True)]


def identity_of(pictures: Iterable[Picture], folder: Path) -> dict[str, Any]:
    """What tells a split's pictures from others: their names below its folder, which may be moved."""
    return identity([f"{path.relative_to(folder).as_posix()}#{frame}" for path, frame in pictures])


def counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in numbers.items())


@rank_zero_only
def tell(root: Path, what: str, splits: Mapping[str, Sized], skipped: Counter[str], more: str = "") -> None:
    """Print what was found in a folder, in the main process."""
    sizes = ", ".join(f"{name} {len(splits[name])}" for name in ("train", "val", "test"))
    print(f"{'data':<12} {root}: {what}: {sizes}{more}")
    if skipped:
        print(f"{'left out':<12} {counted(skipped)}")

"""Cross-validation: the training examples are divided into parts, each of which is one run's validation split."""

import warnings
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scalian_exp.datasets.base import SPLIT_SEED
from scalian_exp.datasets.folder_splits import shared_out
from scalian_exp.ranges import Fold, fold_of
from scalian_exp.refusal import Refusal


def divided(size: int, fold: Fold, labels: Sequence[Hashable] | None = None) -> tuple[Tensor, Tensor]:
    """Return the sorted indices of the training examples on which a fold trains, and of those on which it validates.

    They are the same for every run's seed. Over all folds each example is in one validation split. Where there are
    labels, the numbers of each class in two folds differ by one at most (scikit-learn's StratifiedKFold).

    Args:
        size: number of examples.
        fold: "k/n", which leaves part k of n for validation.
        labels: the class of each example.

    Raises:
        Refusal: if there are fewer examples than folds.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    number, count = fold_of(fold)
    if count > size:
        raise Refusal(f"dataset.fold={fold} divides {size} training examples into {count} parts; give at most {size}.")
    stratified = labels is not None and max(Counter(labels).values()) >= count
    splitter = (StratifiedKFold if stratified else KFold)(count, shuffle=True, random_state=SPLIT_SEED)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*least populated class.*")  # it can't be in every fold
        train, val = list(splitter.split(np.zeros(size), labels))[number - 1]
    return torch.from_numpy(train).sort().values, torch.from_numpy(val).sort().values


def files_of_fold(
    paths: list[Path],
    root: Path,
    given: Collection[str],
    share: float,
    fold: Fold | None,
    labels: Sequence[Hashable] | None = None,
) -> dict[str, list[int]]:
    """Return the indices of the files for train and for all splits that have no folder of their own.

    Args:
        paths: the files to divide.
        root: the folder whose names they are divided by.
        given: the splits that have a folder of their own.
        share: the fraction of the files for the test, and without a fold for validation as well.
        fold: "k/n", which leaves part k of n of all files but the test's for validation.
        labels: the class of each file.

    Raises:
        Refusal: if there are validation files already that a fold can't take.
    """
    missing = [name for name in ("test", "val") if name not in given]
    if fold is None:
        return shared_out(paths, root, missing, share)
    if "val" in given:
        raise Refusal(
            f"dataset.fold={fold}: {root} has its own validation split, which dataset.fold can't replace; move its "
            "files to those for training, or leave dataset.fold out."
        )
    shares = shared_out(paths, root, missing[:-1], share)
    rest = shares["train"]
    train, val = divided(len(rest), fold, [labels[index] for index in rest] if labels is not None else None)
    return {
        **shares,
        "train": [rest[index] for index in train.tolist()],
        "val": [rest[index] for index in val.tolist()],
    }

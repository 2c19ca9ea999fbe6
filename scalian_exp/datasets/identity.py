"""What tells a run's data from others: kept in its checkpoints, so that it goes on with the same.

What a network's inputs and outputs stand for must be the same wherever its weights are used. Its splits must be the
same only where its training goes on: to evaluate a run on data that grew, or on others of the same classes, is all
right.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from scalian_exp.refusal import Refusal

CLASSES, EXAMPLES = "classes", "splits"
"""entries that say nothing about a network's inputs: the classes' names in order; split → `identity`"""
SPOKEN = {"train": "training", "val": "validation", "test": "test"}


def hash_of(value: Sequence[Any]) -> str:
    """A hash of texts and numbers in their order."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


def identity(names: Sequence[str]) -> dict[str, Any]:
    """What tells a split's examples from others: how many they are, and a hash of their names, or of what they are."""
    return {"size": len(names), "hash": hash_of(names)}


def check_classes(then: Any, now: list[str], where: str) -> None:
    """Refuse classes that a network's outputs don't stand for.

    Args:
        then: what a checkpoint keeps.
        where: in which data the classes of now are.

    Raises:
        Refusal: if the classes are not the same.
    """
    if then == now or not isinstance(then, list):
        return
    lacking, new = [name for name in then if name not in now], [name for name in now if name not in then]
    parts = [f"without {', '.join(map(str, lacking))}"] * bool(lacking) + [f"with {', '.join(new)}"] * bool(new)
    raise Refusal(
        f"{where} has other classes than this run learned ({' and '.join(parts)}), so the network's outputs would be "
        "taken for what they are not; give the classes their old names, or say where the same classes lie: "
        "dataset.root=…"
    )


def check_splits(then: Any, now: Mapping[str, dict[str, Any]], where: str, what: str) -> None:
    """Refuse to go on with other examples than a run began with.

    Args:
        then: what a checkpoint keeps.
        where: in which data the splits of now are.
        what: the examples are, as images.

    Raises:
        Refusal: if a split has other examples now.
    """
    if not isinstance(then, dict):
        return
    changes = []
    for name, found in now.items():
        match then.get(name):
            case {"size": size, "hash": kept} if kept != found["hash"]:
                same = ", but not the same" if size == found["size"] else ""
                changes.append(f"for {SPOKEN.get(name, name)} {size} then, {found['size']} now{same}")
    if changes:
        raise Refusal(
            f"The {what} in {where} are not those that this run began with ({'; '.join(changes)}): put the old "
            "files back under their names (another may stand in for a broken one), say by dataset.root=… where they "
            "lie now, or start a new run, from these weights by init_from=<this run's folder>."
        )

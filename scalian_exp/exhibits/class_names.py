"""Names of classes in both languages."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml


def class_names(given: Sequence[str] | None, classes: int) -> dict[str, list[str]]:
    """Return the names of classes by language.

    Args:
        given: the data set's names, which are English and translated to French where known; None without.
        classes: number of classes.
    """
    if not given:
        return {"fr": [f"classe {k}" for k in range(classes)], "en": [f"class {k}" for k in range(classes)]}
    return {"fr": [french().get(name, name) for name in given[:classes]], "en": list(given[:classes])}


@cache
def french() -> dict[str, str]:
    """Return the French names of the data sets' classes by their English ones."""
    names: dict[str, str] = yaml.safe_load((Path(__file__).parent / "class_names.yaml").read_text(encoding="utf-8"))
    return names

"""In which values the configs of runs differ."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

ABSENT = "—"
"""stands for a key that a config doesn't have"""


class Difference(NamedTuple):
    """A key of which runs have different values."""

    key: str
    values: dict[str, list[int]]
    """value as text → numbers of the runs that have it"""


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of everything in a config that isn't a mapping."""
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, node


def differences(configs: Sequence[dict[str, Any]], first: Sequence[str] = ()) -> list[Difference]:
    """Return the keys in which configs differ.

    Args:
        configs: of the runs; an empty one, as of a run that failed early, differs in nothing.
        first: keys to begin with, in this order; the others follow, those of few values before those of many.
    """
    flat = [dict(leaves(config)) for config in configs]
    known = [number for number, config in enumerate(configs) if config]
    found = []
    for key in dict.fromkeys(key for values in flat for key in values):
        values: dict[str, list[int]] = {}
        for number in known:
            values.setdefault(text(flat[number].get(key, ABSENT)), []).append(number)
        if len(values) > 1 and ".fits." not in key:
            found.append(Difference(key, values))
    place = {key: number for number, key in enumerate(first)}
    return sorted(found, key=lambda found: (place.get(found.key, len(place)), len(found.values)))


def text(value: Any) -> str:
    """Return a value as YAML would show it on one line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

"""The contract of a comparison: a folder in comparisons/ with the files of an exhibit, which takes several runs."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store

HERE = Path(__file__).parent / "comparisons"


class Trained(NamedTuple):
    """A run of the course, and what is known about it."""

    run: Run
    facts: dict[str, Any]


class Comparison(Protocol):
    """Members of the module exhibit.py in each comparison's folder."""

    def take(self, runs: dict[str, Trained], settings: dict[str, Any], store: Store) -> dict[str, Any]:
        """Put the arrays that the comparison needs into the store, and return facts: JSON for its texts and its script.

        Args:
            runs: all runs of the chapter, by name.
            settings: from the chapter's file.
            store: of this comparison alone.
        """


def comparison(name: str) -> Comparison:
    """Return the comparison of a name."""
    return cast(Comparison, import_module(f"scalian_exp.course.comparisons.{name}.exhibit"))

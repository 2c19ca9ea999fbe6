"""The contract of an exhibit: a folder beside this file with exhibit.py, exhibit.html.jinja, exhibit.js and texts.yaml.

`exhibits` finds all of them; docs/exhibits.md says how to add one.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store

HERE = Path(__file__).parent


class Exhibit(Protocol):
    """Members of the module exhibit.py in each exhibit's folder."""

    ORDER: int
    """position on the page"""

    def offered(self, run: Run) -> bool:
        """Return whether a run's network and data offer what the exhibit needs."""

    def take(self, run: Run, store: Store) -> dict[str, Any]:
        """Put the arrays that the exhibit needs into the store, and return facts: JSON for its texts and its script.

        Raises:
            Refusal: if the run can't be exhibited after all, as when the page doesn't know one of its operations.
        """


def exhibits() -> Iterator[tuple[str, Exhibit]]:
    """Yield the name of each exhibit's folder, and its module exhibit.py, in the page's order."""
    names = [file.parent.name for file in HERE.glob("*/exhibit.py")]
    modules = {name: cast(Exhibit, import_module(f"scalian_exp.exhibits.{name}.exhibit")) for name in names}
    yield from sorted(modules.items(), key=lambda item: item[1].ORDER)

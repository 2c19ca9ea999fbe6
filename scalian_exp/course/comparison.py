"""The contract of a comparison: a folder in comparisons/ with the files of an exhibit, which takes several runs."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import torch

from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.refusal import Refusal

HERE = Path(__file__).parent / "comparisons"
EXAMPLES = 20
"""test examples by which two data sets are told apart"""


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

        Raises:
            Refusal: if the runs can't be compared.
        """


def comparison(name: str) -> Comparison:
    """Return the comparison of a name."""
    return cast(Comparison, import_module(f"scalian_exp.course.comparisons.{name}.exhibit"))


def check_same_data(runs: dict[str, Trained]) -> None:
    """Check that runs were trained on the same data set, of which they read the same test examples.

    Raises:
        Refusal: if not.
    """
    (first, one), *others = ((name, run) for name, (run, _) in runs.items())
    for name, other in others:
        if dataset(one) != dataset(other) or not same_examples(one, other):
            raise Refusal(
                f"{first} ({', '.join(dataset(one))}) and {name} ({', '.join(dataset(other))}) don't read the same "
                "test examples, so they can't be compared; train them with the same options of dataset."
            )


def dataset(run: Run) -> list[str]:
    """Return what a run's data set is, in a few words."""
    return [
        type(run.data).__name__,
        "×".join(map(str, run.shape)),
        f"{len(run.data.splits['test'])} test examples",
        f"{run.config['dataset'].get('num_classes') or 'no'} classes",
    ]


def same_examples(one: Run, other: Run) -> bool:
    """Return whether some test examples of two runs are the same, as they are stored."""
    pairs = [run.data.splits["test"][one.spread("test", EXAMPLES)] for run in (one, other)]
    return pairs[0].keys() == pairs[1].keys() and all(torch.equal(pairs[0][key], pairs[1][key]) for key in pairs[0])

"""Linear probe: logistic regression on frozen codes, on raw inputs and on principal components."""

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from scalian_exp.actions.action import Action, data_of, save_figure
from scalian_exp.actions.representations import Split, competitors, gather
from scalian_exp.checkpoint import Loaded
from scalian_exp.commandline.terminal import display
from scalian_exp.ranges import PositiveFloat, PositiveInt
from scalian_exp.refusal import Refusal

MOST_ITERATIONS = 300
"""Maximum number of iterations of the logistic regression's optimiser."""


class Probe(Action):
    """Test error of logistic regression with few and with many labels: probe.csv and a curve.

    Every representation is centred (unless it is sparse) and divided by one number, so that the mean square of its
    features is 1. Features are not scaled individually, because equal variances would amplify the least principal
    components. Labelled examples are drawn at random, the same ones for every representation.

    Args:
        labels: numbers of labelled training examples; null takes all. Numbers that exceed the data are left out.
        repeats: number of random draws to average over, unless all examples are taken.
        inverse_penalty: C of scikit-learn's LogisticRegression, the same for every representation.
    """

    def __init__(
        self, labels: Sequence[PositiveInt | None], repeats: PositiveInt = 3, inverse_penalty: PositiveFloat = 1.0
    ):
        if not labels:
            raise Refusal("labels=[]: give at least one number of labelled examples, or null for all: [100,null].")
        self.labels, self.repeats, self.inverse_penalty = labels, repeats, inverse_penalty

    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Fit all regressions, print a table of test errors, and write probe.csv and probe.png.

        Raises:
            Refusal: if there are too few training examples for all numbers of labels.
        """
        data = data_of(model)
        train, test = gather(model, data, "train"), gather(model, data, "test")
        candidates = self.representations(model, data, train, test)
        representations = {name: pair for name, pair in candidates.items() if not isinstance(pair, str)}
        assert train.labels is not None, "the action's config asks for labels"
        counts = self.counts(len(train.labels))
        rows = [
            {"representation": name, "labels": count, "error": self.error(train, test, *pair, count)}
            for name, pair in representations.items()
            for count in counts
        ]
        display(table_of(rows, list(candidates), counts))
        for name in candidates.keys() - representations.keys():
            print(f"{name}: {candidates[name]}")
        return [write(folder / "probe.csv", rows), save_figure(curve(rows), folder / "probe.png", model)]

    def counts(self, size: int) -> list[int]:
        """Return the numbers of labels that `size` training examples allow, and print which they don't.

        Raises:
            Refusal: if they allow none.
        """
        counts = list(dict.fromkeys(size if n is None else n for n in self.labels if n is None or n <= size))
        if too_many := [str(n) for n in self.labels if n is not None and n > size]:
            missing = f"{', '.join(too_many)} labels were requested, but there are {size} training examples"
            if not counts:
                raise Refusal(f"{missing}; take fewer (labels=[{size}]).")
            print(f"{missing}: left out.")
        return counts

    def representations(self, model: Loaded, data: Any, train: Split, test: Split) -> dict[str, tuple[Any, Any] | str]:
        """Return the (training, test) features to compare, by name, or a sentence saying why they are unavailable."""
        return {**competitors(train, test)}

    def error(self, train: Split, test: Split, x: Any, y: Any, count: int) -> float:
        """Return the test error of regressions from features x to `count` labels, averaged over the random draws."""
        assert train.labels is not None
        assert test.labels is not None
        draws = self.draws(len(train.labels), count)
        return float(np.mean([self.one(x[draw], train.labels[draw], y, test.labels) for draw in draws]))

    def draws(self, size: int, count: int) -> list[np.ndarray]:
        """Return random draws of `count` of `size` training examples; a smaller draw is the start of a larger one."""
        draws = [np.random.default_rng(seed).permutation(size)[:count] for seed in range(self.repeats)]
        return draws[:1] if count == size else draws

    def one(self, x: Any, labels: np.ndarray, y: Any, wanted: np.ndarray) -> float:
        """Return the test error on (y, wanted) of one regression fitted to (x, labels).

        Raises:
            Refusal: if the labels are all of one class.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        if len(np.unique(labels)) < 2:
            raise Refusal(f"{len(labels)} labels are all of one class; take more (labels=…).")
        x, y = standardised(x, y)
        model = LogisticRegression(C=self.inverse_penalty, max_iter=MOST_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the error has settled long before
            model.fit(x, labels)
        return float((model.predict(y) != wanted).mean())


def standardised(x: Any, y: Any) -> tuple[Any, Any]:
    """Centre x and y, both (N, D), by x's mean unless they are sparse, then divide by x's root mean square."""
    from scipy import sparse

    if not sparse.issparse(x):
        mean = x.mean(0)
        x, y = x - mean, y - mean
    scale = np.sqrt(x.power(2).mean() if sparse.issparse(x) else np.square(x).mean()) or 1.0
    return x / scale, y / scale


def table_of(rows: list[dict[str, Any]], names: list[str], counts: list[int]) -> Table:
    """Return the table of test errors, a row for each name and a column for each number of labels."""
    table = Table("representation", *[f"{count} labels" for count in counts], title="test error of a linear probe")
    for name in names:
        errors = [f"{100 * row['error']:.2f} %" for row in rows if row["representation"] == name]
        table.add_row(name, *(errors or ["unavailable" for _ in counts]))
    return table


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    """Write the test errors as a CSV file and return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def curve(rows: list[dict[str, Any]]) -> Figure:
    """Draw the test error over the number of labels, a line for each representation."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for name in dict.fromkeys(row["representation"] for row in rows):
        points = sorted((row["labels"], 100 * row["error"]) for row in rows if row["representation"] == name)
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
    axes.set(xscale="log", xlabel="labelled training examples", ylabel="test error, %", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(title="features")
    figure.suptitle("error of logistic regression on these features, by the number of labels that it learns from")
    return figure

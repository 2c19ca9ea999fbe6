"""Find the training examples whose codes are closest to that of an input."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.table import Table

from scalian_exp.actions.action import Action, data_of, own_input, prepared, save_figure
from scalian_exp.actions.hashing import as_bits, radius_table
from scalian_exp.actions.representations import Split, competitors, gather
from scalian_exp.batches import called, first_words
from scalian_exp.checkpoint import Loaded
from scalian_exp.commandline.terminal import display
from scalian_exp.figures.grids import show, to_array
from scalian_exp.folders import METRICS
from scalian_exp.metrics.retrieval import Neighbours, nearest, precision, without
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.run.record import write_metrics

PRINTED = 2
"""Number of queries whose neighbours are printed."""

WIDEST = 16
"""Number of characters of a file's name above a picture."""


class Example(NamedTuple):
    """A query or a neighbour: its split, index, class, text and name; the user's input has neither split nor class."""

    split: str = ""
    number: int | None = None
    label: str = ""
    text: str = ""
    file: str = ""

    @property
    def place(self) -> str:
        """Split and index, or "yours" for the user's input."""
        return f"{self.split} {self.number}" if self.split else "yours"

    @property
    def name(self) -> str:
        """Split, index and class."""
        return f"{self.place} ({self.label})" if self.label else self.place


class Nearest(Action):
    """Training examples nearest to an image file, a text, or an example of a split.

    Without a query, uses five test examples, and prints the precision among the ten nearest for codes, raw inputs and
    principal components: the share that belongs to the query's class. An example is never its own neighbour.

    Args:
        image: an image file.
        text: a text.
        index: index of an example in its split.
        split: the split of the example.
        count: number of neighbours.
        distance: euclidean, cosine, or hamming, the number of different bits (see hashing.py).
        engine: sklearn, or faiss (pip install '.[faiss]'); both are exact.
    """

    def __init__(
        self,
        image: str | None = None,
        text: str | None = None,
        index: NonNegativeInt | None = None,
        split: Literal["train", "val", "test"] = "test",
        count: PositiveInt = 10,
        distance: Literal["euclidean", "cosine", "hamming"] = "cosine",
        engine: Literal["sklearn", "faiss"] = "sklearn",
    ):
        if sum(query is not None for query in (image, text, index)) > 1:
            raise Refusal("Give one query: image=…, text=… or index=….")
        if split == "train" and image is text is index is None:
            raise Refusal("With split=train, choose an example: index=….")
        self.image, self.text, self.index, self.split = image, text, index, split
        self.count, self.distance, self.engine = count, distance, engine

    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Find the neighbours and write nearest.csv, and nearest.png for images.

        Raises:
            Refusal: if the query can't be used.
        """
        data = data_of(model)
        x, queries = self.queries(model, data)
        with torch.no_grad():
            codes = model.task.network.encode(x).flatten(1).float().cpu().numpy()
        examples = gather(model, data, "train")
        itself = self.index if self.split == "train" else None
        known = examples.codes
        if self.distance == "hamming":
            known, codes = (as_bits(model.task.network, examples.codes, vectors) for vectors in (known, codes))
        result = nearest(known, codes, self.count + (itself is not None), self.distance, self.engine)
        if itself is not None:
            result = without(result, itself)
        neighbours = [described(data, "train", indices, model.task.class_names) for indices in result.indices]
        texts = "texts" in model.config["dataset"]["provides"]
        what = "text" if texts else "file" if data.splits["train"].names else ""
        files = [write(folder / "nearest.csv", queries, result, neighbours, what)]
        if what:
            print_neighbours(queries[:PRINTED], result, neighbours, what)
        if not texts:
            images = prepared(model, data, data.splits["train"][torch.from_numpy(result.indices.ravel())])["image"]
            figure = picture(x, images, queries, result, neighbours)
            figure.suptitle(f"queries and the training examples of nearest codes; numbers: {self.distance} distance")
            files.append(save_figure(figure, folder / "nearest.png", model))
        if all(query is None for query in (self.image, self.text, self.index)) and examples.labels is not None:
            test, network = gather(model, data, "test"), model.task.network
            files.append(self.compare(examples, test, folder, model.task.class_names, network))
        return files

    def queries(self, model: Loaded, data: Any) -> tuple[torch.Tensor, list[Example]]:
        """Return the queries as inputs of the network, and their descriptions."""
        own = own_input(model, self.image, self.text, data)
        if own is not None:
            return own, [Example(text=self.text or "", file=self.image or "")]
        size = len(data.splits[self.split])
        if self.index is not None and self.index >= size:
            raise Refusal(f"index={self.index}: the {self.split} split has {size} examples, counted from 0.")
        chosen = torch.tensor([self.index]) if self.index is not None else torch.linspace(0, size - 1, 5).long()
        batch = prepared(model, data, data.splits[self.split][chosen])
        return model.task.inputs(batch), described(data, self.split, chosen.numpy(), model.task.class_names)

    def compare(
        self, train: Split, test: Split, folder: Path, names: Sequence[str] | None, network: Any = None
    ) -> Path:
        """Print and write the precision among the ten nearest, over all test examples and per class.

        Also what lies within a Hamming radius of the test examples, if codes are made for bits.
        """
        assert train.labels is not None
        assert test.labels is not None
        order = np.random.default_rng(0).permutation(len(train.labels))
        labels = train.labels[order]
        each = {
            name: precision(nearest(x[order], y, 10, self.distance, "sklearn").indices, labels, test.labels)
            for name, (x, y) in competitors(train, test).items()
        }
        x, y = (as_bits(network, train.codes, split.codes) for split in (train, test))
        hamming = nearest(x[order], y, 10, "hamming", "sklearn")
        each[f"codes as {x.shape[1]} bits"] = precision(hamming.indices, labels, test.labels)
        title = f"share of the ten nearest of {len(labels)} training examples that have the test query's class"
        table = Table("precision@10", *each, title=title)
        values: dict[str, float] = {}
        for label in [None, *np.unique(test.labels)]:
            group = "all" if label is None else called(names, int(label))
            chosen = slice(None) if label is None else test.labels == label
            means = {name: float(scores[chosen].mean()) for name, scores in each.items()}
            table.add_row(group, *[f"{100 * mean:.1f} %" for mean in means.values()])
            values |= {f"precision_at_10/{name}/{group}": mean for name, mean in means.items()}
        display(table)
        write_metrics(folder, values | radius_table(network, train, test))
        return folder / METRICS


def described(data: Any, split: str, indices: np.ndarray, names: Sequence[str] | None) -> list[Example]:
    """Describe the examples of a split at these indices."""
    part = data.splits[split]
    texts, labels = part.texts, part.labels
    return [
        Example(
            split,
            number,
            "" if labels is None else called(names, int(labels[number])),
            "" if texts is None else texts[number],
            "" if texts is not None or part.names is None else part.names[number],
        )
        for number in indices.tolist()
    ]


def write(file: Path, queries: list[Example], result: Neighbours, neighbours: list[list[Example]], what: str) -> Path:
    """Write a CSV file with a line for each neighbour of each query, and return its path.

    Args:
        file: its path.
        queries: the queries.
        result: indices and distances.
        neighbours: the neighbours of each query.
        what: which of an example's attributes, text or file, is written too; empty for neither.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        columns = ["query", "split", "index", "query_label", "rank", "training_example", "distance", "label"]
        writer.writerow([*columns, f"query_{what}", what] if what else columns)
        for number, (query, distances, near) in enumerate(zip(queries, result.distances, neighbours, strict=True)):
            for rank, (distance, example) in enumerate(zip(distances, near, strict=True), start=1):
                of_query = [number, query.split, query.number, query.label]
                row = [*of_query, rank, example.number, f"{distance:.6g}", example.label]
                names = [first_words(each.text, 200) or each.file for each in (query, example)]
                writer.writerow([*row, *names] if what else row)
    return file


def print_neighbours(queries: list[Example], result: Neighbours, neighbours: list[list[Example]], what: str) -> None:
    """Print a table of the texts or files nearest to each query."""
    for query, distances, near in zip(queries, result.distances, neighbours, strict=False):
        name = repr(first_words(query.text, 100)) if what == "text" else query.file
        display(f"nearest to {query.name}: {name}")  # a table's title would be broken at its width
        table = Table("distance", "label", what)
        for distance, example in zip(distances, near, strict=True):
            table.add_row(f"{distance:.3g}", example.label, first_words(example.text, 200) or example.file)
        display(table)


def picture(
    inputs: torch.Tensor,
    images: torch.Tensor,
    queries: list[Example],
    result: Neighbours,
    neighbours: list[list[Example]],
) -> Figure:
    """Draw a row for each query: the query, then its neighbours with distance and class."""
    count = result.indices.shape[1]
    figure = Figure(figsize=(1.2 * (count + 1), 1.7 * len(queries)), layout="constrained")
    grid = figure.subplots(len(queries), count + 1, squeeze=False)
    for row, query in enumerate(queries):
        show(
            grid[row, 0], to_array(inputs[row]), "\n".join(filter(None, (query.place, query.label, short(query.file))))
        )
        for column, example in enumerate(neighbours[row]):
            title = "\n".join(
                filter(None, (f"{result.distances[row, column]:.3g}", example.label, short(example.file)))
            )
            show(grid[row, column + 1], to_array(images[row * count + column]), title)
        for axes in grid[row]:
            axes.title.set_fontsize("x-small")
    return figure


def short(file: str) -> str:
    """Return the end of a file's name that fits above a picture."""
    name = file.rpartition("/")[2]
    return name if len(name) <= WIDEST else f"…{name[-WIDEST:]}"

"""The learned examples that are closest to an input, by their codes."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.table import Table

from scalian_exp.actions.action import Action, data_of, own_input, prepared, save_figure
from scalian_exp.actions.representations import Split, competitors, gather
from scalian_exp.batches import called
from scalian_exp.checkpoint import Loaded
from scalian_exp.commandline.terminal import display
from scalian_exp.figures.grids import show, to_array
from scalian_exp.folders import METRICS
from scalian_exp.metrics.retrieval import Neighbours, nearest, precision
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.run.record import write_metrics

TOLD = 2
"""queries whose neighbours are printed, where there are several"""


class Example(NamedTuple):
    """What is known of a query or a neighbour; a user's own has no place and no class."""

    split: str = ""
    number: int | None = None
    label: str = ""
    text: str = ""

    @property
    def place(self) -> str:
        return f"{self.split} {self.number}" if self.split else "yours"

    @property
    def name(self) -> str:
        return f"{self.place} ({self.label})" if self.label else self.place


class Nearest(Action):
    """Training examples nearest to an image file, a text, or an example of a split; without any of them, to some test
    examples, and a table of how many of the ten nearest are of the query's class, for codes, for raw inputs and for
    principal components. An example is never its own neighbour.

    Args:
        image: an image file.
        text: a text.
        index: an example's number in its split.
        split: of the example.
        count: neighbours.
        distance: euclidean or cosine.
        engine: sklearn, or faiss (pip install '.[faiss]'); both exact.
    """

    def __init__(
        self,
        image: str | None = None,
        text: str | None = None,
        index: NonNegativeInt | None = None,
        split: Literal["train", "val", "test"] = "test",
        count: PositiveInt = 10,
        distance: Literal["euclidean", "cosine"] = "cosine",
        engine: Literal["sklearn", "faiss"] = "sklearn",
    ):
        if sum(query is not None for query in (image, text, index)) > 1:
            raise Refusal("Give one query: image=…, text=… or index=….")
        if split == "train" and image is text is index is None:
            raise Refusal("Of training examples give one: index=….")
        self.image, self.text, self.index, self.split = image, text, index, split
        self.count, self.distance, self.engine = count, distance, engine

    def run(self, model: Loaded, folder: Path) -> list[Path]:
        data = data_of(model)
        x, queries = self.queries(model, data)
        with torch.no_grad():
            codes = model.task.network.encode(x).flatten(1).float().cpu().numpy()
        examples = gather(model, data, "train")
        itself = self.index if self.split == "train" else None
        found = nearest(examples.codes, codes, self.count + (itself is not None), self.distance, self.engine)
        if itself is not None:
            found = without(found, itself)
        neighbours = [described(data, "train", indices, model.task.class_names) for indices in found.indices]
        texts = "texts" in model.config["dataset"]["provides"]
        files = [write(folder / "nearest.csv", queries, found, neighbours, texts)]
        if texts:
            tell(queries[:TOLD], found, neighbours)
        else:
            images = prepared(model, data, data.splits["train"][torch.from_numpy(found.indices.ravel())])["image"]
            files.append(save_figure(picture(x, images, queries, found, neighbours), folder / "nearest.png"))
        if all(query is None for query in (self.image, self.text, self.index)) and examples.labels is not None:
            files.append(self.compare(examples, gather(model, data, "test"), folder, model.task.class_names))
        return files

    def queries(self, model: Loaded, data: Any) -> tuple[torch.Tensor, list[Example]]:
        """Inputs of the network, and what they are."""
        own = own_input(model, self.image, self.text, data)
        if own is not None:
            return own, [Example(text=self.text or "")]
        size = len(data.splits[self.split])
        if self.index is not None and self.index >= size:
            raise Refusal(f"index={self.index}: the {self.split} split has {size} examples, counted from 0.")
        chosen = torch.tensor([self.index]) if self.index is not None else torch.linspace(0, size - 1, 5).long()
        batch = prepared(model, data, data.splits[self.split][chosen])
        return model.task.inputs(batch), described(data, self.split, chosen.numpy(), model.task.class_names)

    def compare(self, train: Split, test: Split, folder: Path, names: Sequence[str] | None) -> Path:
        """Precision among the ten nearest, over the whole test split."""
        assert train.labels is not None
        assert test.labels is not None
        order = np.random.default_rng(0).permutation(len(train.labels))
        labels = train.labels[order]
        each = {
            name: precision(nearest(x[order], y, 10, self.distance, "sklearn").indices, labels, test.labels)
            for name, (x, y) in competitors(train, test).items()
        }
        median = np.median(train.codes, 0)
        x, y = ((split.codes > median).astype(np.float32) for split in (train, test))
        hamming = nearest(x[order], y, 10, "euclidean", "sklearn")  # its root, and exact: equal ones stay equal
        each[f"bits ({len(median)})"] = precision(hamming.indices, labels, test.labels)
        title = f"test queries among {len(labels)} training examples; of equally near ones, some at random"
        table = Table("precision@10", *each, title=title)
        values: dict[str, float] = {}
        for label in [None, *np.unique(test.labels)]:
            who = "all" if label is None else called(names, int(label))
            chosen = slice(None) if label is None else test.labels == label
            means = {name: float(scores[chosen].mean()) for name, scores in each.items()}
            table.add_row(who, *[f"{100 * mean:.1f} %" for mean in means.values()])
            values |= {f"precision_at_10/{name}/{who}": mean for name, mean in means.items()}
        display(table)
        write_metrics(folder, values)
        return folder / METRICS


def without(found: Neighbours, own: int) -> Neighbours:
    """The neighbours of a training example, itself left out: it isn't always the first of equals."""
    kept = found.indices[0] != own
    if kept.all():
        kept[-1] = False
    return Neighbours(found.distances[:, kept], found.indices[:, kept])


def described(data: Any, split: str, indices: np.ndarray, names: Sequence[str] | None) -> list[Example]:
    """Examples of a split, by their numbers in it."""
    part = data.splits[split]
    texts, labels = part.texts, part.labels
    return [
        Example(
            split,
            number,
            "" if labels is None else called(names, int(labels[number])),
            "" if texts is None else texts[number],
        )
        for number in indices.tolist()
    ]


def write(file: Path, queries: list[Example], found: Neighbours, neighbours: list[list[Example]], texts: bool) -> Path:
    """A line for each neighbour of each query."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        columns = ["query", "split", "index", "query_label", "rank", "training_example", "distance", "label"]
        writer.writerow([*columns, "query_text", "text"] if texts else columns)
        for number, (query, distances, near) in enumerate(zip(queries, found.distances, neighbours, strict=True)):
            for rank, (distance, example) in enumerate(zip(distances, near, strict=True), start=1):
                of_query = [number, query.split, query.number, query.label]
                row = [*of_query, rank, example.number, f"{distance:.6g}", example.label]
                writer.writerow([*row, shortened(query.text), shortened(example.text)] if texts else row)
    return file


def tell(queries: list[Example], found: Neighbours, neighbours: list[list[Example]]) -> None:
    """The documents themselves, on the terminal."""
    for query, distances, near in zip(queries, found.distances, neighbours, strict=False):
        title = f"nearest to {query.name}: {shortened(query.text, 100)!r}"
        table = Table("distance", "label", "text", title=title, title_justify="left")
        for distance, example in zip(distances, near, strict=True):
            table.add_row(f"{distance:.3g}", example.label, shortened(example.text))
        display(table)


def shortened(text: str, most: int = 200) -> str:
    """The first words of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "…"


def picture(
    inputs: torch.Tensor,
    images: torch.Tensor,
    queries: list[Example],
    found: Neighbours,
    neighbours: list[list[Example]],
) -> Figure:
    """A row for each query: itself, then its neighbours with distance and class."""
    count = found.indices.shape[1]
    figure = Figure(figsize=(1.2 * (count + 1), 1.7 * len(queries)), layout="constrained")
    grid = figure.subplots(len(queries), count + 1, squeeze=False)
    for row, query in enumerate(queries):
        show(grid[row, 0], to_array(inputs[row]), f"{query.place}\n{query.label}".strip())
        for column, example in enumerate(neighbours[row]):
            title = f"{found.distances[row, column]:.3g}\n{example.label}".strip()
            show(grid[row, column + 1], to_array(images[row * count + column]), title)
        for axes in grid[row]:
            axes.title.set_fontsize("x-small")
    return figure

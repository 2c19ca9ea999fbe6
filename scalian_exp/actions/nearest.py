"""The learned examples that are closest to an input, by their codes."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from scalian_exp.actions.action import Action, data_of, image_from, prepared, save_figure
from scalian_exp.actions.representations import Split, competitors, gather
from scalian_exp.checkpoint import Loaded
from scalian_exp.figures.classes import called
from scalian_exp.figures.grids import show, to_array
from scalian_exp.metrics.retrieval import Neighbours, nearest, precision
from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.report import write_metrics


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
            raise Refusal("Give one query: action.image, action.text or action.index.")
        self.image, self.text, self.index, self.split = image, text, index, split
        self.count, self.distance, self.engine = count, distance, engine

    def run(self, model: Loaded, folder: Path) -> list[Path]:
        data = data_of(model)
        x, own = self.queries(model, data)
        with torch.no_grad():
            codes = model.task.network.encode(x).flatten(1).float().cpu().numpy()
        examples = gather(model, data, "train")
        found = nearest(examples.codes, codes, self.count + (own is not None), self.distance, self.engine)
        if own is not None:
            found = without(found, own)
        names = model.task.class_names
        files = [self.write(folder / "nearest.csv", found, examples.labels, names)]
        if "texts" in model.config["dataset"]["provides"]:
            self.tell(found, data.splits["train"], names)
        else:
            images = prepared(model, data, data.splits["train"][torch.from_numpy(found.indices.ravel())])["image"]
            files.append(save_figure(picture(x, images, found, examples.labels, names), folder / "nearest.png"))
        if all(query is None for query in (self.image, self.text, self.index)) and examples.labels is not None:
            files.append(self.compare(examples, gather(model, data, "test"), folder, names))
        return files

    def queries(self, model: Loaded, data: Any) -> tuple[torch.Tensor, int | None]:
        """Inputs of the network, and the number of the training example that the query is, if it is one."""
        texts = "texts" in model.config["dataset"]["provides"]
        if self.text is not None:
            if not texts:
                raise Refusal("This run learned from images, not from texts: give action.image or action.index.")
            return data.vector(self.text).to(model.task.device), None
        if self.image is not None:
            if texts:
                raise Refusal("This run learned from texts, not from images: give action.text or action.index.")
            return image_from(model, self.image), None
        size = len(data.splits[self.split])
        if self.index is not None and self.index >= size:
            raise Refusal(f"action.index={self.index}: the {self.split} split has {size} examples, counted from 0.")
        chosen = torch.tensor([self.index]) if self.index is not None else torch.linspace(0, size - 1, 5).long()
        batch = prepared(model, data, data.splits[self.split][chosen])
        own = self.index if self.split == "train" else None
        if self.split == "train" and self.index is None:
            raise Refusal("Of training examples give one: action.index=….")
        return model.task.inputs(batch), own

    def write(self, file: Path, found: Neighbours, labels: np.ndarray | None, names: Sequence[str] | None) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["query", "rank", "training_example", "distance", "label"])
            for query, (distances, indices) in enumerate(zip(*found, strict=True)):
                for rank, (distance, index) in enumerate(zip(distances, indices, strict=True), start=1):
                    label = "" if labels is None else called(names, int(labels[index]))
                    writer.writerow([query, rank, index, f"{distance:.6g}", label])
        return file

    def tell(self, found: Neighbours, examples: Any, names: Sequence[str] | None) -> None:
        """The documents themselves, on the terminal."""
        for query, (distances, indices) in enumerate(zip(*found, strict=True)):
            table = Table("distance", "label", "text", title=f"nearest to {self.text or f'query {query}'!r}"[:120])
            for distance, index in zip(distances, indices, strict=True):
                text = " ".join(examples.texts[index].split())[:200]
                table.add_row(f"{distance:.3f}", called(names, int(examples.labels[index])), text)
            Console().print(table)

    def compare(self, train: Split, test: Split, folder: Path, names: Sequence[str] | None) -> Path:
        """Precision among the ten nearest, over the whole test split."""
        representations = competitors(train, test)
        assert train.labels is not None
        assert test.labels is not None
        median = np.median(train.codes, 0)
        bits = tuple((split.codes > median).astype(np.float32) * 2 - 1 for split in (train, test))
        representations[f"bits ({len(median)})"] = bits
        each = {
            name: precision(nearest(x, y, 10, self.distance, "sklearn").indices, train.labels, test.labels)
            for name, (x, y) in representations.items()
        }
        table = Table("precision@10", *each, title=f"test queries among {len(train.labels)} training examples")
        values: dict[str, float] = {}
        for label in [None, *np.unique(test.labels)]:
            who = "all" if label is None else called(names, int(label))
            chosen = slice(None) if label is None else test.labels == label
            means = {name: float(scores[chosen].mean()) for name, scores in each.items()}
            table.add_row(who, *[f"{100 * mean:.1f} %" for mean in means.values()])
            values |= {f"precision_at_10/{name}/{who}": mean for name, mean in means.items()}
        Console().print(table)
        write_metrics(folder, values)
        return folder / "metrics.json"


def without(found: Neighbours, own: int) -> Neighbours:
    """The neighbours of a training example, itself left out: it isn't always the first of equals."""
    kept = found.indices[0] != own
    if kept.all():
        kept[-1] = False
    return Neighbours(found.distances[:, kept], found.indices[:, kept])


def picture(
    queries: torch.Tensor,
    images: torch.Tensor,
    found: Neighbours,
    labels: np.ndarray | None,
    names: Sequence[str] | None,
) -> Figure:
    """A row for each query: itself, then its neighbours with distance and class."""
    count = found.indices.shape[1]
    figure = Figure(figsize=(1.2 * (count + 1), 1.7 * len(queries)), layout="constrained")
    grid = figure.subplots(len(queries), count + 1, squeeze=False)
    for row, query in enumerate(queries):
        show(grid[row, 0], to_array(query), "query")
        for column in range(count):
            label = "" if labels is None else f"\n{called(names, int(labels[found.indices[row, column]]))}"
            title = f"{found.distances[row, column]:.3f}{label}"
            show(grid[row, column + 1], to_array(images[row * count + column]), title)
            grid[row, column + 1].title.set_fontsize("x-small")
    return figure

"""Save codes for use in other programs."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from scalian_exp.actions.action import Action, data_of, own_input, prepared
from scalian_exp.batches import first_words
from scalian_exp.checkpoint import Loaded
from scalian_exp.refusal import Refusal


class Embed(Action):
    """Codes of a split or of one input: codes.npy (N, latent_dim), labels.npy if there are labels, codes.csv with both.

    Each line of codes.csv begins with the example's name if it has one: its file, or the first words of a text.

    Args:
        split: the split to encode.
        image: an image file to encode instead.
        text: a text to encode instead.
    """

    def __init__(
        self, split: Literal["train", "val", "test"] = "test", image: str | None = None, text: str | None = None
    ):
        if image is not None and text is not None:
            raise Refusal("Give either image=… or text=…, not both.")
        self.split, self.image, self.text = split, image, text

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Encode the inputs and write the files."""
        own = own_input(model, self.image, self.text)
        encode, labels = model.task.network.encode, []
        if own is not None:
            codes, names = [encode(own).float().cpu().numpy()], [self.image or first_words(self.text or "")]
        else:
            data, codes = data_of(model), []
            names = data.splits[self.split].names
            for batch in data.loader(self.split):
                codes.append(encode(model.task.inputs(prepared(model, data, batch))).float().cpu().numpy())
                if "label" in batch:
                    labels.append(batch["label"].cpu().numpy())
        table = np.concatenate(codes)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "codes.npy", table)
        files = [folder / "codes.npy", folder / "codes.csv"]
        if labels:
            np.save(folder / "labels.npy", np.concatenate(labels))
            files.append(folder / "labels.npy")
        write_table(folder / "codes.csv", table, np.concatenate(labels) if labels else None, names)
        return files


def write_table(file: Path, codes: np.ndarray, labels: np.ndarray | None, names: Sequence[str] | None) -> None:
    """Write codes (N, D) as CSV, each line beginning with the example's name and class index, where they are known."""
    given = {"name": names, "label": labels}
    first = {column: values for column, values in given.items() if values is not None}
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*first, *(f"code_{index}" for index in range(codes.shape[1]))])
        for row, code in enumerate(codes):
            writer.writerow([*(values[row] for values in first.values()), *(f"{value:.7g}" for value in code)])

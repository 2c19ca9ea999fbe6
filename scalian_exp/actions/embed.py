"""Codes as files, for other programs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from scalian_exp.actions.action import Action, Batch, batches, image_from
from scalian_exp.checkpoint import Loaded


class Embed(Action):
    """codes.npy (N, latent_dim), labels.npy where there are labels, and codes.csv with both.

    Args:
        split: whose codes.
        image: an image file whose code is wanted instead.
    """

    def __init__(self, split: Literal["train", "val", "test"] = "test", image: str | None = None):
        self.split, self.image = split, image

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        source: Iterable[Batch] = batches(model, self.split)
        if self.image is not None:
            source = [{"image": image_from(model, self.image)}]
        codes, labels = [], []
        for batch in source:
            codes.append(model.task.network.encode(model.task.inputs(batch)).float().cpu().numpy())
            if "label" in batch:
                labels.append(batch["label"].cpu().numpy())
        table = np.concatenate(codes)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "codes.npy", table)
        files = [folder / "codes.npy", folder / "codes.csv"]
        columns = [f"code_{index}" for index in range(table.shape[1])]
        if labels:
            np.save(folder / "labels.npy", np.concatenate(labels))
            files.append(folder / "labels.npy")
            table, columns = np.column_stack([np.concatenate(labels), table]), ["label", *columns]
        np.savetxt(folder / "codes.csv", table, fmt="%.7g", delimiter=",", header=",".join(columns), comments="")
        return files

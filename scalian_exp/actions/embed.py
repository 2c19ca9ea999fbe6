"""Save codes for use in other programs."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from scalian_exp.actions.action import Action, batches, own_input
from scalian_exp.checkpoint import Loaded
from scalian_exp.refusal import Refusal


class Embed(Action):
    """Codes of a split or of one input: codes.npy (N, latent_dim), labels.npy if there are labels, codes.csv with both.

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
        encode = model.task.network.encode
        own = own_input(model, self.image, self.text)
        codes, labels = [] if own is None else [encode(own).float().cpu().numpy()], []
        for batch in batches(model, self.split) if own is None else ():
            codes.append(encode(model.task.inputs(batch)).float().cpu().numpy())
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

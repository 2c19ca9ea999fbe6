"""Train a network that gives the probability of every pixel, given those before it, by its exact likelihood."""

import math
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from scalian_exp.batches import Batch
from scalian_exp.figures.grids import heat_map, image_grid, rows_of_images
from scalian_exp.networks.parts.pixels import are_values
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.base import Step, Task
from scalian_exp.tasks.loss_protocols import AutoregressiveLoss
from scalian_exp.tasks.protocols import AutoregressiveNetwork


def check_pixels(network: Any, x: Tensor, whose: str) -> None:
    """Check that images (B, C, H, W) have the shape and the pixel values that the network models.

    Raises:
        Refusal: if they don't.
    """
    if (shape := tuple(x.shape[1:])) != network.shape:
        raise Refusal(
            f"{whose} {shape} (channels, height, width), but the network's images are {network.shape}; give images of "
            "that shape."
        )
    if not are_values(x, network.levels):
        known = "black or white" if network.levels == 2 else f"of {network.levels} values"
        raise Refusal(
            f"{whose} pixels of other values, but this network's are {known}; use an image or data set with such "
            "pixels, or train on a data set that states its number of values (dataset.levels)."
        )


class Autoregressive(Task):
    """Trains a network of pixels by their exact likelihood, loss(network(x), x), where x are images.

    Logs `nll`, the exact −log p(x) in nats per image, and `bits_per_dim`, the same in bits per channel of a pixel.
    """

    monitor = "val/nll"
    figure_examples = 32
    network: AutoregressiveNetwork
    loss: AutoregressiveLoss

    def check(self, data: Any) -> None:
        """Refuse, besides what other tasks refuse, images of another shape or with other values than the network's."""
        super().check(data)
        first = torch.arange(min(100, len(data.splits["val"])))
        x = data.prepare(data.splits["val"][first])["image"]
        check_pixels(self.network, x, f"{type(data).__name__} has")

    def step(self, batch: Batch) -> Step:
        """Compute −log p(x), in nats per image and in bits per dimension."""
        x = batch["image"]
        nll = self.loss(self.network(x), x).mean()
        return Step(nll, {"nll": nll, "bits_per_dim": nll / (math.log(2) * x[0].numel())})

    def negative_log_likelihood(self, x: Tensor, samples: int) -> Tensor:
        """Return the exact −log p(x) of each image, (B,), in nats; it needs no samples."""
        nll: Tensor = self.loss(self.network(x), x)
        return nll

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw samples, completions of lower halves, and the bits that each pixel costs.

        Samples are few: figures are drawn after each validation, and pixels come one after the other.
        """
        x = batch["image"]
        whole = x[:8]
        known = torch.ones_like(whole[:, :1], dtype=torch.bool)
        known[:, :, known.shape[2] // 2 :] = False
        one, other = self.network.complete(whole.repeat(2, 1, 1, 1), known.repeat(2, 1, 1, 1)).split(len(whole))
        given = torch.where(known, whole, torch.full_like(whole, 0.5))  # grey where pixels are missing
        pictures = {"original": whole, "given": given, "completed 1": one, "completed 2": other}
        _, nats = self.network.next_pixel(x)
        bits = nats.sum(1).mean(0) / math.log(2)
        return {
            "samples": image_grid(self.network.sample(16).float(), title="samples, drawn pixel by pixel"),
            "completions": rows_of_images(pictures, "lower halves completed pixel by pixel, twice"),
            "bits": heat_map(
                bits, f"what each pixel costs: {float(bits.sum()):.0f} bits an image, mean of {len(x)}", "bits"
            ),
        }

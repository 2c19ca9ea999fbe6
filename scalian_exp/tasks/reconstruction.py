"""Train a network to reconstruct its input."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics.functional.image import structural_similarity_index_measure

from scalian_exp.batches import Batch
from scalian_exp.figures.curves import curve
from scalian_exp.figures.grids import rows_of_images
from scalian_exp.figures.latent import latent_map
from scalian_exp.networks.corruptions import SaltAndPepper
from scalian_exp.ranges import NonNegativeFloat
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.base import Step
from scalian_exp.tasks.binary_codes import bits_logs
from scalian_exp.tasks.decoding import Decoding, probabilities
from scalian_exp.tasks.loss_protocols import ReconstructionLoss
from scalian_exp.tasks.protocols import ReconstructionNetwork
from scalian_exp.tasks.random_codes import random_codes

WINDOW = 11
"""pixels across the window within which structures are compared"""


def psnr(image: Tensor, clean: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio of each image in [0, 1], (B,), in decibels; at most 100."""
    return -10 * (image - clean).float().square().flatten(1).mean(1).clamp_min(1e-10).log10()


def ssim(image: Tensor, clean: Tensor) -> Tensor:
    """Compute the mean structural similarity of images in [0, 1], a scalar (Wang et al. 2004).

    As in the paper, only places count where the window, 11×11, lies inside the image; torchmetrics' own mean includes
    places near the edge, at which it mirrors the image.
    """
    with torch.autocast(image.device.type, enabled=False):  # squares are subtracted, for which 16 bits are too few
        _, places = structural_similarity_index_measure(
            image.float(), clean.float(), data_range=1.0, return_full_image=True
        )
    edge = WINDOW // 2
    return torch.as_tensor(places)[..., edge:-edge, edge:-edge].mean()


def gain_against_noise(denoise: Callable[[Tensor, float], Tensor], x: Tensor) -> Figure:
    """Draw the decibels gained on images at several levels of salt-and-pepper noise.

    Args:
        denoise: noisy images, and the probability that a pixel was flipped → images.
        x: images (B, C, H, W) in [0, 1].
    """
    levels, gains = [0.1, 0.3, 0.5], []
    for level in levels:
        noisy = SaltAndPepper(level)(x)  # half of it falls on pixels that have its value already
        gains.append(float((psnr(denoise(noisy, level / 2), x) - psnr(noisy, x)).mean()))
    return gain_curve(levels, gains, SaltAndPepper.level_means)


def gain_curve(levels: Sequence[float], gains: Sequence[float], meaning: str) -> Figure:
    """Draw the decibels gained over the levels of noise, whose meaning labels their axis."""
    title = "noise removed: the output's PSNR less the noisy input's"
    return curve(levels, gains, meaning, "gain in PSNR, dB", title)


def misshapen(network: Any, output: Any, images: Tensor) -> Refusal:
    """Explain that a network's output for images isn't logits of their shape."""
    given = f"gives {tuple(output.shape)}" if isinstance(output, Tensor) else f"returns {type(output).__name__}"
    return Refusal(
        f"{type(network).__name__} {given} for images {tuple(images.shape)}; its output must be logits of their shape."
    )


class Reconstruction(Decoding):
    """Trains an autoencoder by loss(network(x̃), x) + penalty(network, x̃, code), where x̃ = corruption(x), of images x.

    Whatever the loss, the best checkpoint is that of least squared error, so that losses can be compared.

    Each training step draws a new corruption; validation and test use clean images.

    Args:
        corruption: a `networks.corruptions.Corruption`.
        noise_levels: levels of the corruption at which the test measures how many decibels of PSNR the output gains
            over the corrupted input, `psnr_gain_…`; unused without a corruption.
        penalty: a module: the network, what it encodes and its codes → a scalar that is added to the loss, and logged
            as `penalty`; see losses/penalties.py.
    """

    monitor = "val/squared_error"
    network: ReconstructionNetwork
    loss: ReconstructionLoss
    corruption: Any

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        schedule: Callable[[float], float] | None = None,
        corruption: nn.Module | None = None,
        noise_levels: Sequence[NonNegativeFloat] = (),
        penalty: nn.Module | None = None,
    ):
        super().__init__(network, loss, optimizer, schedule)
        self.corruption, self.penalty = corruption, penalty
        self.noise_levels = noise_levels if corruption is not None else ()
        for level in self.noise_levels:
            self.corruption.check_level(level)

    def compiled(self) -> list[nn.Module]:
        """Return the network, or its parts where a penalty needs the codes between them."""
        network: Any = self.network
        return [network] if self.penalty is None else [*network.children()]

    def step(self, batch: Batch) -> Step:
        """Compute the loss of a corrupted image's reconstruction against the clean one; errors outside training."""
        clean = batch["image"]
        corrupted = self.corruption(clean) if self.corruption is not None and self.training else clean
        codes = self.network.encode(corrupted) if self.penalty is not None else None  # once: they may be random
        logits = self.network(corrupted) if codes is None else self.network.decode(codes)
        if getattr(logits, "shape", None) != clean.shape:  # a loss might broadcast it
            raise misshapen(self.network, logits, clean)
        loss, logs = self.penalised(self.loss(logits, clean), self.network, corrupted, codes)
        if not self.training:
            logs |= self.errors(logits, clean) | bits_logs(self.network, clean)
        return Step(loss, logs, logits)

    def penalised(
        self, loss: Tensor, network: Any, x: Tensor, codes: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a loss with the penalty of a network on inputs x and their codes, and what to log of it."""
        if self.penalty is None:
            return loss, {}
        penalty = self.penalty(network, x, codes)
        return loss + penalty, {"penalty": penalty}

    def errors(self, logits: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Return the squared error per image, as papers report it, and per pixel, and the PSNR."""
        squares = (probabilities(logits) - clean).square().flatten(1)
        return {
            "squared_error": squares.sum(1).mean(),  # per image
            "mse": squares.mean(),  # per pixel
            "psnr": psnr(probabilities(logits), clean).mean(),
        }

    def test_logs(self, batch: Batch, outputs: Tensor) -> dict[str, Tensor]:
        """Return the structural similarity, and the PSNR gained at each level of noise."""
        x = batch["image"]
        gains = {f"psnr_gain_{level:g}": self.psnr_gain(x, level).mean() for level in self.noise_levels}
        if min(x.shape[-2:]) < WINDOW:
            return gains
        return {**gains, "ssim": ssim(probabilities(outputs), x)}

    def psnr_gain(self, x: Tensor, level: float) -> Tensor:
        """Compute by how many decibels the output is closer to the clean image than its corrupted input, (B,)."""
        corrupted = self.corruption(x, level)
        return psnr(self.reconstruct(corrupted), x) - psnr(corrupted.clamp(0, 1), x)

    def sample(self, count: int, training_codes: Tensor) -> dict[str, Tensor]:
        """Decode random codes, which nothing made the network expect, to images.

        Args:
            count: number of images of each kind.
            training_codes: codes of the training data, (N, D).

        Returns:
            Images (count, C, H, W) in [0, 1] by the distribution of their codes: N(0, 1), and the normal distribution
            with the mean and covariance of the training codes.
        """
        return {name: self.decoded(codes) for name, codes in random_codes(count, training_codes).items()}

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw reconstructions, a map of the codes, and the PSNR gained over the levels of noise."""
        x = batch["image"]
        seen = x[:10] if self.corruption is None else self.corruption(x[:10])
        rows, title = {"input": seen, "output": self.reconstruct(seen)}, "images, encoded and decoded again"
        if self.corruption is not None:
            rows = {"clean": x[:10], "corrupted": rows["input"], "output": rows["output"]}
            title = "images, corrupted, then encoded and decoded"
        codes = self.network.encode(x)
        figures = {
            "reconstructions": rows_of_images(rows, title),
            "latent_map": latent_map(codes, batch.get("label"), self.decoded, names=self.class_names),
        }
        if self.noise_levels:
            gains = [float(self.psnr_gain(x, level).mean()) for level in self.noise_levels]
            figures["psnr_gain"] = gain_curve(list(self.noise_levels), gains, self.corruption.level_means)
        return figures

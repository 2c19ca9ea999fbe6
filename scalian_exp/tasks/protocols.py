"""Protocols of networks: what each task requires of its network.

A task names its protocol by annotating `network`; a network that lacks a member is refused, with the member's name,
before any data are read. Nothing needs to be inherited from here: a network with methods of these names is enough.
Tensors are float unless stated otherwise; images are (B, C, H, W) in [0, 1].
What a network may offer besides is in capabilities.py, what losses are called with in loss_protocols.py, and what data
provide in data_protocols.py. docs/contracts.md is written from these files.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from scalian_exp.tasks.capabilities import (
    Classifies,
    Completes,
    HasClasses,
    HasFilters,
    Samples,
    SamplesByPixel,
    SamplesOfClass,
    TrainedByLayers,
)


class Network(Protocol):
    """A torch.nn.Module, called with what the task takes from a batch."""

    def __call__(self, *inputs: Any) -> Any:
        """Call `forward`, as torch.nn.Module does."""


class ReconstructionNetwork(Network, Protocol):
    """An autoencoder of images."""

    def encode(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to codes (B, D)."""

    def decode(self, z: Tensor) -> Tensor:
        """Map codes (B, D) to logits of the pixels, (B, C, H, W); their sigmoid is the image."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits of the pixels, the same shape: usually decode(encode(x))."""


class GreedyNetwork(ReconstructionNetwork, Protocol):
    """An autoencoder whose layers are trained one after the other, from the image upwards."""

    @property
    def layer_encoders(self) -> Sequence[nn.Module]:
        """The encoder of each layer: vectors (B, D) → codes (B, D') in [0, 1]."""

    @property
    def layer_decoders(self) -> Sequence[nn.Module]:
        """The decoder of each layer: codes (B, D') → logits (B, D) of its encoder's input."""


class TextNetwork(Network, Protocol):
    """An autoencoder of texts, as weights of the vocabulary's V words."""

    def encode(self, x: Tensor) -> Tensor:
        """Map word weights (B, V) to codes (B, D)."""

    def decode(self, z: Tensor) -> Tensor:
        """Map codes (B, D) to logits of the words, (B, V)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map word weights (B, V) to logits of the words, (B, V)."""


class VariationalNetwork(Network, Samples, Protocol):
    """A latent-variable model p(x|z) p(z) with an approximate posterior q(z|x); KL and log p in nats."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of the pixels for one z ~ q(z|x), (B, C, H, W), and KL(q(z|x) ‖ p(z)) of each latent (B, L)."""

    def importance(self, x: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Return logits (samples, B, C, H, W) for z ~ q(z|x), and log p(z) − log q(z|x) of each z, (samples, B)."""

    def encode(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to codes (B, D), without noise: the posterior's mean."""

    def decode(self, z: Tensor) -> Tensor:
        """Map codes (B, D) to logits of the pixels, (B, C, H, W)."""


class AdversarialNetwork(Network, Samples, Protocol):
    """A generator and a discriminator."""

    @property
    def generator(self) -> nn.Module:
        """Module: noise (B, D) → images (B, C, H, W) in [0, 1]."""

    @property
    def discriminator(self) -> nn.Module:
        """Module: images (B, C, H, W) → logits (B,) of being real."""

    def noise(self, count: int) -> Tensor:
        """Draw inputs of the generator, (count, D)."""

    def forward(self, z: Tensor) -> Tensor:
        """Map noise (B, D) to images, as the generator does."""


class AutoregressiveNetwork(Network, Samples, SamplesByPixel, Completes, Protocol):
    """The probability of each pixel given those before it, row by row; parts/pixel_network.py is a base class."""

    @property
    def levels(self) -> int:
        """The number of values that a channel of a pixel can take, evenly spaced in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images to logits: (B, C, H, W) for 2 levels, else (B, levels, C, H, W)."""

    def next_pixel(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return each pixel's expected value, in [0, 1], and −log p of the actual one, in nats; each (B, C, H, W)."""


class BoltzmannNetwork(ReconstructionNetwork, Samples, HasFilters, Protocol):
    """A stack of restricted Boltzmann machines (RBMs) over images; a single one is a stack of one."""

    @property
    def rbms(self) -> Any:
        """The RBMs, from the image upwards: a ModuleList of networks.rbm.RBM."""

    @property
    def standardised(self) -> bool:
        """Whether the lowest units see pixels as multiples of their standard deviation (Gaussian units)."""

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Keep the training pixels' mean and standard deviation, (C·H·W,) each, if `standardised`."""

    def means_above(self, image: Tensor, layer: int) -> Tensor:
        """Return mean states (B, D) of the units below RBM number `layer`; len(rbms) gives the top layer's."""

    def seen_by_top(self, states: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return states of the top RBM's visible units, for those below it (B, D) and perhaps class numbers (B,)."""

    def log_likelihood_bound(self, image: Tensor, log_partition: Tensor) -> Tensor:
        """Estimate a lower bound of log p(v), (B,), in nats, given the top RBM's log Z."""


class UpDownNetwork(BoltzmannNetwork, Classifies, SamplesOfClass, TrainedByLayers, Protocol):
    """A stack of RBMs whose top one also sees labels, with separate weights for each direction."""

    @property
    def untied(self) -> Tensor:
        """Whether the two directions already have separate weights: a bool tensor without dimensions."""

    def untie(self) -> None:
        """Give the downward direction a copy of the weights of the upward one."""

    def input_below(self, layer: int, h: Tensor) -> Tensor:
        """Return the total input (B, D) of the units below RBM number `layer`, from the states above it."""


class RatingNetwork(Network, Protocol):
    """Predictions for all columns of a table, from the ratings of a row; 0 means that there is no rating."""

    @property
    def columns(self) -> int:
        """The number of columns of a row: items, or users where rows are items."""

    @property
    def predicts_ratings(self) -> bool:
        """Whether its outputs are ratings; else they are only scores to rank by."""

    def forward(self, ratings: Tensor) -> Tensor:
        """Map rows of ratings (B, columns) to predictions, the same shape."""


class SegmentationNetwork(Network, Protocol):
    """The class of every pixel, for images of any size."""

    @property
    def total_stride(self) -> int:
        """The stride of its deepest map, in pixels."""

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Map images (B, C, H, W) to logits (B, K, H, W), or to a dict of logits.

        The dict has `out`, the logits, and in training perhaps `aux`, those of an auxiliary head, and `presence`,
        logits (B, K) of each class being in the image.
        """


class ClassificationNetwork(Network, HasClasses, Protocol):
    """One class for each example."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes)."""

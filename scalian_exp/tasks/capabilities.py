"""Optional capabilities of networks: protocols of what they may offer besides what their task needs.

`offers(network, StartsFromData)` of offers.py asks for one. The names are those by which actions say what they need.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn


class StartsFromData(Protocol):
    """Starts from the mean of the training data, so that the first epochs needn't learn it."""

    def start_from(self, mean: Tensor) -> None:
        """Start from the mean of the network's inputs over the training data, as images (C, H, W)."""


class StartsFromRatings(Protocol):
    """Starts from, or consists of, statistics of all training ratings."""

    def start_from(self, columns: Tensor, ratings: Tensor) -> None:
        """Start from all training ratings at once: the column of each, (n,), and its value, (n,)."""


class Pretrained(Protocol):
    """Can start from published weights."""

    @property
    def pretrained(self) -> bool:
        """Whether to start from the published weights."""

    def load_pretrained(self) -> None:
        """Load the weights; raise a ValueError, whose message says what to do, if they can't be had."""


class StartsOthers(Protocol):
    """Can start networks of other kinds by `init_from`, besides what has the same name and shape in both."""

    def weights_for(self, network: nn.Module) -> dict[str, Tensor]:
        """Return weights under the other network's names; raise a ValueError if they would mean something else."""


class OnBackbone(Protocol):
    """Has a part that learns at the plain learning rate; `model.head_lr` multiplies that of all others."""

    @property
    def backbone(self) -> nn.Module:
        """The part that learns at the plain learning rate, often a pretrained classifier without its head."""


class KeepsRunningMeans(Protocol):
    """Has buffers that follow the training as batch norm's statistics do, to be averaged with the weights."""

    @property
    def running_means(self) -> tuple[str, ...]:
        """The names of these buffers."""


class AveragesMirrored(Protocol):
    """Can average over the left-right mirror image in evaluation."""

    @property
    def average_flipped(self) -> bool:
        """Whether it does."""


class Encodes(Protocol):
    """Has codes: for actions embed, nearest and probe, and TensorBoard's projector."""

    def encode(self, x: Tensor) -> Tensor:
        """Return codes (B, D) of the network's inputs."""


class HasBits(Encodes, Protocol):
    """Has codes in [0, 1] that are made to be kept as bits: for action nearest, and the metric `bimodality`."""

    def bits(self, codes: Tensor) -> Tensor:
        """Return the bits of codes (B, D), bool."""


class HasClasses(Protocol):
    """Distinguishes a number of classes, which must be that of the data."""

    @property
    def num_classes(self) -> int:
        """The number of classes that it distinguishes."""


class Classifies(HasClasses, Protocol):
    """Classifies images, although `forward` returns something else: for action classify."""

    def classify(self, image: Tensor) -> Tensor:
        """Return logits of the classes, (B, num_classes)."""


class DrawsInSteps(Protocol):
    """Draws images in several steps, each with its own latent vector; KL and codes are ordered by steps."""

    @property
    def steps(self) -> int:
        """The number of steps."""

    def drawing(self, codes: Tensor) -> Any:
        """Return how images are drawn: `canvases`, logits (T, B, C, H, W), and boxes `read` and `write`, (T, B, 4).

        A box is left, top, right, bottom in pixels; `read` and `write` are None where a step sees everything.
        """

    def prior(self, count: int) -> Tensor:
        """Draw codes (count, D) from p(z)."""


class Samples(Protocol):
    """Draws new images: for action sample and callbacks=sample_quality."""

    def sample(self, count: int) -> Tensor:
        """Draw new images (count, C, H, W) in [0, 1]."""


class SamplesOfClass(HasClasses, Protocol):
    """Draws images of a chosen class: for action sample with label=…."""

    def sample_of(self, labels: Tensor) -> Tensor:
        """Draw images (B, C, H, W) of class numbers (B,)."""


class SamplesByChain(Protocol):
    """Draws images by a Markov chain, which action sample shows as an animation."""

    def chain(self, count: int, steps: int, every: int, labels: Tensor | None = None) -> Iterator[Tensor]:
        """Yield images (count, C, H, W) after each `every` of `steps` steps; `labels` (count,) fixes their classes."""


class SamplesByPixel(Protocol):
    """Draws images pixel by pixel, which actions sample and complete show as progress."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its images."""

    @property
    def rows_drawn(self) -> int:
        """The number of images that `pixel_by_pixel` yields."""

    def pixel_by_pixel(self, x: Tensor, known: Tensor, temperature: float = 1.0) -> Iterator[Tensor]:
        """Yield images (B, C, H, W) as their unknown pixels are drawn; `known` is bool (B, 1, H, W)."""


class Completes(Protocol):
    """Fills in missing pixels: for action complete."""

    def complete(self, x: Tensor, known: Tensor) -> Tensor:
        """Fill in the unknown pixels of images (B, C, H, W); `known` is bool (B, 1, H, W)."""


class Denoises(Protocol):
    """Infers an image from its noisy copy by sampling: for action denoise."""

    @property
    def standardised(self) -> bool:
        """Whether its units aren't binary, so that salt-and-pepper noise means nothing to them."""

    def denoise(self, image: Tensor, flipped: float) -> Tensor:
        """Estimate clean images (B, C, H, W) from noisy ones, each of whose pixels flipped with that probability."""


class TrainedByLayers(Protocol):
    """A stack whose layers are trained one after the other, so that it may be trained in part."""

    @property
    def layers_untrained(self) -> int:
        """The number of layers that haven't been trained yet."""


class CodesOfLayers(Protocol):
    """Has a code for each layer: for action compare_features."""

    def layer_codes(self, x: Tensor) -> list[Tensor]:
        """Return codes (B, D) of each layer, from the image upwards."""


class HasFilters(Protocol):
    """Has hidden units that can be shown as images: for action filters."""

    @property
    def rbms(self) -> Any:
        """The layers, from the image upwards."""

    def filters(self, layer: int) -> Tensor:
        """Return what each hidden unit of a layer adds to the image, (units, C, H, W), in any range."""


class HasFeatures(Protocol):
    """Describes rows and columns of ratings by the same features: for recommend, similar and maps of items."""

    def codes(self, ratings: Tensor) -> Tensor:
        """Return the features (B, F) of rows (B, columns)."""

    def effects(self) -> Tensor:
        """Return how much each feature raises the prediction of each column, (columns, F)."""


class Conditional(Protocol):
    """Predicts ratings from which pairs are rated at all, too, if `conditional`."""

    @property
    def conditional(self) -> bool:
        """Whether to use that knowledge."""

    def forward(self, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Map ratings (B, columns) to predictions; `known`, bool (B, columns), marks the pairs rated in any split."""

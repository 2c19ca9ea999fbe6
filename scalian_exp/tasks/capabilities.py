"""What a network may offer besides what its task needs, and what is done with it then.

`offers(network, StartsFromData)` of offers.py asks for one. The names are those by which actions say what they need.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn


class StartsFromData(Protocol):
    """Starts where the training data are on average, so that the first epochs needn't learn it."""

    def start_from(self, mean: Tensor) -> None:
        """Start from the mean of the network's inputs over the training data, as images (C, H, W)."""


class StartsFromRatings(Protocol):
    """Starts from, or consists of, statistics of all training ratings."""

    def start_from(self, ratings: Tensor) -> None:
        """Start from all training rows at once, (N, columns), 0 where there is no rating."""


class Pretrained(Protocol):
    """Can start from published weights."""

    @property
    def pretrained(self) -> bool:
        """Whether it is to start from them."""

    def load_pretrained(self) -> None:
        """Load the weights; a ValueError, whose message says what to do, if they can't be had."""


class StartsOthers(Protocol):
    """Can start networks of other kinds by `init_from`, besides what has the same name and shape in both."""

    def weights_for(self, network: nn.Module) -> dict[str, Tensor]:
        """Weights under the other network's names; a ValueError if they would mean something else there."""


class OnBackbone(Protocol):
    """Has a part that learns at the plain learning rate; `model.head_lr` multiplies that of all others."""

    @property
    def backbone(self) -> nn.Module:
        """Module: that part, often a pretrained classifier without its head."""


class Encodes(Protocol):
    """Has codes: for actions embed, nearest and probe, and TensorBoard's projector."""

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, D) of the network's inputs."""


class HasClasses(Protocol):
    """Tells classes apart; the data must have as many."""

    @property
    def num_classes(self) -> int:
        """How many classes it tells apart."""


class Classifies(HasClasses, Protocol):
    """Names classes, though `forward` gives something else: for action classify."""

    def classify(self, image: Tensor) -> Tensor:
        """Logits of the classes, (B, num_classes)."""


class DrawsInSteps(Protocol):
    """A variational network with several latent vectors, one a step; its KL and its codes are ordered by steps."""

    @property
    def steps(self) -> int:
        """How many steps there are."""

    def drawing(self, codes: Tensor) -> Any:
        """How images come about: `canvases`, logits (T, B, C, H, W); boxes `read` and `write`, (T, B, 4), of each step.

        A box is left, top, right, bottom in pixels; `read` and `write` are None where a step sees everything.
        """

    def prior(self, count: int) -> Tensor:
        """Codes (count, D) drawn from p(z)."""


class Samples(Protocol):
    """Draws new images: for action sample and callbacks=sample_quality."""

    def sample(self, count: int) -> Tensor:
        """New images (count, C, H, W) in [0, 1]."""


class SamplesOfClass(HasClasses, Protocol):
    """Draws images of a chosen class: for action sample with label=…."""

    def sample_of(self, labels: Tensor) -> Tensor:
        """Images (B, C, H, W) of class numbers (B,)."""


class SamplesByChain(Protocol):
    """Draws images by a Markov chain, which action sample shows as an animation."""

    def chain(self, count: int, steps: int, every: int, labels: Tensor | None = None) -> Iterator[Tensor]:
        """Yields images (count, C, H, W) every so many of `steps` steps; `labels` (count,) holds their classes."""


class SamplesByPixel(Protocol):
    """Draws images pixel by pixel, which actions sample and complete show as progress."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its images."""

    @property
    def rows_drawn(self) -> int:
        """How many times `pixel_by_pixel` yields an image."""

    def pixel_by_pixel(self, x: Tensor, known: Tensor, temperature: float = 1.0) -> Iterator[Tensor]:
        """Yields images (B, C, H, W) as their unknown pixels are drawn; `known` is bool (B, 1, H, W)."""


class Completes(Protocol):
    """Fills in missing pixels: for action complete."""

    def complete(self, x: Tensor, known: Tensor) -> Tensor:
        """Images (B, C, H, W) whose unknown pixels are filled in; `known` is bool (B, 1, H, W)."""


class Denoises(Protocol):
    """Infers an image from its noisy copy by sampling: for action denoise."""

    @property
    def standardised(self) -> bool:
        """Whether its units aren't binary, so that salt-and-pepper noise means nothing to them."""

    def denoise(self, image: Tensor, flipped: float) -> Tensor:
        """The mean of the clean images (B, C, H, W), given noisy ones, whose pixels flipped with that probability."""


class TrainedByLayers(Protocol):
    """A stack whose layers are trained one after the other, so that it may be trained in part."""

    @property
    def layers_untrained(self) -> int:
        """How many layers haven't seen any data yet."""


class CodesOfLayers(Protocol):
    """Has a code for each layer: for action compare_features."""

    def layer_codes(self, x: Tensor) -> list[Tensor]:
        """Codes (B, D) of each layer, from the image upwards."""


class HasFilters(Protocol):
    """Has hidden units that can be shown as images: for action filters."""

    @property
    def rbms(self) -> Any:
        """The layers, from the image upwards."""

    def filters(self, layer: int) -> Tensor:
        """What each hidden unit of a layer adds to the image, (units, C, H, W), in any range."""


class HasFeatures(Protocol):
    """Describes rows and columns of ratings by the same features: for action recommend and the maps of items."""

    def codes(self, ratings: Tensor) -> Tensor:
        """The features of rows (B, columns): (B, F)."""

    def effects(self) -> Tensor:
        """How much each feature raises the prediction of each column, (columns, F)."""


class Conditional(Protocol):
    """Predicts ratings knowing which pairs are rated at all, if `conditional`."""

    @property
    def conditional(self) -> bool:
        """Whether it is to know."""

    def forward(self, ratings: Tensor, known: Tensor | None = None) -> Tensor:
        """Predictions (B, columns); `known`, bool (B, columns), says which pairs are rated in any split."""

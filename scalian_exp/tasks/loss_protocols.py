"""Protocols of losses: how each task calls its loss, and what a loss may offer besides.

Losses are torch modules, called as `loss(…)`; a task names its protocol by annotating `loss`. Logits come
from the network, in any precision; what is returned is in nats where it is a likelihood.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from scalian_exp.batches import Batch
from scalian_exp.networks.rbm import RBM


class Loss(Protocol):
    """A torch.nn.Module, called with what the task passes to it."""

    def __call__(self, *values: Any) -> Any:
        """Call `forward`, as torch.nn.Module does."""


class ReconstructionLoss(Loss, Protocol):
    """How far a reconstruction is from the input without its corruption."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits and targets in [0, 1], both (B, C, H, W), or (B, D) for one layer."""


class TextLoss(Loss, Protocol):
    """Distance between a text's words and the predicted ones."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits and word weights, both (B, V); exp(mean) is the perplexity."""


class VariationalLoss(Loss, Protocol):
    """A lower bound of log p(x), negated."""

    @property
    def likelihood(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Module: logits (…, B, C, H, W) and images (B, C, H, W) → log p(x|z), (…, B)."""

    def terms(self, network: Any, x: Tensor, epoch: int | None = None) -> Any:
        """Return the terms of losses/elbo.py for a network and images; `epoch` counts from 0, None outside training."""


class DrawsCodes(Protocol):
    """Calls the network's `importance` in place of its forward pass, for several codes of each image."""

    @property
    def samples(self) -> int:
        """The number of codes of each image."""


class AdversarialLoss(Protocol):
    """Two losses, one for the generator and one for the discriminator."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, a scalar, of its logits (B,) for real and for generated images."""

    def generator(self, fake: Tensor) -> Tensor:
        """Return the generator's loss, a scalar, of the discriminator's logits (B,) for generated images."""


class AutoregressiveLoss(Loss, Protocol):
    """An exact likelihood."""

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return −log p of each image, (B,), in nats, from the network's logits."""


class EnergyLoss(Loss, Protocol):
    """A loss whose gradient is that of an RBM's log-likelihood, or near it."""

    def attach(self, rbms: Sequence[RBM]) -> None:
        """Register the state to store for each RBM, such as chains, before weights are loaded."""

    def forward(self, rbm: RBM, v: Tensor, layer: int = 0, progress: float = 0.0) -> Any:
        """Return `loss`, a scalar, and `negative`, states (chains, D), for data (B, D) and a progress in [0, 1]."""


class RatingLoss(Loss, Protocol):
    """How badly a network predicts or ranks what is rated."""

    def forward(self, network: Any, batch: Batch, epoch: int | None = None) -> Tensor:
        """Return the loss, a scalar, of a network on a batch; `epoch` counts from 0, None outside training."""


class AsksOfNetwork(Protocol):
    """Uses more of a network than its outputs, as some rating losses do."""

    @property
    def of_network(self) -> type:
        """A protocol: what the network must offer for this loss."""


class SegmentationLoss(Loss, Protocol):
    """How badly each pixel is classified; void pixels, −100, count nowhere."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits (B, K, H, W) and class numbers (B, H, W)."""


class ClassificationLoss(Loss, Protocol):
    """How badly each example is classified."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits (B, num_classes) and class numbers (B,)."""

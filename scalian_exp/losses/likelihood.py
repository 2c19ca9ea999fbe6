"""Negative log-likelihood for networks that give the probability of every pixel."""

from torch import Tensor, nn

from scalian_exp.networks.parts.pixels import nats


class NegativeLogLikelihood(nn.Module):
    """Negative log-likelihood −log p(x) of each image, in nats.

    Pixels with two values are Bernoulli, those with more a softmax.
    """

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return −log p(x), (B,), for logits as in networks/parts/pixels.py and images (B, C, H, W)."""
        return nats(logits, x).flatten(1).sum(1)

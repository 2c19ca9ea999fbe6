"""The likelihood itself, for networks that give the probability of every pixel."""

from torch import Tensor, nn

from scalian_exp.networks.parts.pixels import nats


class NegativeLogLikelihood(nn.Module):
    """−log p(x) of each image, in nats: (B,). Two values of a pixel are Bernoulli, more a softmax."""

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """Logits as in networks/pixels.py, images (B, C, H, W)."""
        return nats(logits, x).flatten(1).sum(1)

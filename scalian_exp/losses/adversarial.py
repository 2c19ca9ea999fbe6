"""Losses of a discriminator and a generator, from logits (B,) of real and of generated images."""

import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.ranges import Fraction


class NonSaturating(nn.Module):
    """Cross-entropy in nats; the generator minimises −log D(G(z)), not log(1 − D(G(z))) (Goodfellow et al. 2014).

    Args:
        real_label: target of real images; less than 1 is one-sided label smoothing (Salimans et al. 2016).
    """

    def __init__(self, real_label: Fraction = 1.0):
        super().__init__()
        self.real_label = real_label

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, a scalar, from logits (B,) of real and of generated images."""
        target = real.new_full(real.shape, self.real_label)
        return F.binary_cross_entropy_with_logits(real, target) + F.softplus(fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """Return the generator's loss, a scalar, from logits (B,) of generated images."""
        return F.softplus(-fake).mean()


class Hinge(nn.Module):
    """Hinge loss (Lim & Ye 2017, arXiv:1705.02894)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, a scalar, from logits (B,) of real and of generated images."""
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """Return the generator's loss, a scalar, from logits (B,) of generated images."""
        return -fake.mean()

"""The importance-weighted bound as a loss, in nats per image.

Burda, Grosse & Salakhutdinov 2016, "Importance weighted autoencoders" (arXiv:1509.00519), eq. 8: log 1/k Σ w with the
weights w = p(x, z) / q(z|x) of k codes z ~ q(z|x). With one code it is the evidence lower bound, and it approaches log
p(x) as k grows. Differentiating it weights the codes by w / Σ w (eq. 14).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from scalian_exp.losses.elbo import Terms
from scalian_exp.ranges import PositiveInt


class ImportanceWeighted(nn.Module):
    """Negative importance-weighted bound by several codes of each image.

    The loss is −log 1/k Σ p(x, z) / q(z|x), a mean over the batch, without β: not the sum of reconstruction and KL.

    Args:
        likelihood: module: logits (…, B, C, H, W) and images (B, C, H, W) → log p(x|z), (…, B).
        samples: number k of codes; a step computes as much as one of the ELBO on k times as many images.
    """

    def __init__(self, likelihood: nn.Module, samples: PositiveInt = 5):
        super().__init__()
        self.likelihood, self.samples = likelihood, samples

    def terms(self, network: Any, x: Tensor, epoch: int | None = None) -> Terms:
        """Return the loss and its terms, in nats, for a network and images x (B, C, H, W), with k codes of each."""
        terms: Terms = self(*network.importance(x, self.samples), x)
        return terms

    def forward(self, logits: Tensor, log_ratio: Tensor, x: Tensor) -> Terms:
        """Return the loss and its terms, in nats, each a mean over the batch.

        Reconstruction and KL are means over the codes as well; their sum is the negative ELBO of the same codes.

        Args:
            logits: (k, B, C, H, W), for codes z ~ q(z|x).
            log_ratio: log p(z) − log q(z|x) of these codes, (k, B).
            x: images (B, C, H, W).
        """
        log_likelihood = self.likelihood(logits, x)
        bound = torch.logsumexp(log_likelihood + log_ratio, 0).mean() - math.log(len(log_ratio))
        bounds = {f"nll_bound_iw{len(log_ratio)}": -bound}
        return Terms(-bound, -log_likelihood.mean(), -log_ratio.mean(), bounds=bounds)

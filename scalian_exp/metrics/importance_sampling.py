"""The importance-weighted bound of a latent-variable model's likelihood (Burda et al. 2016, equation 8)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 2**21
"""elements of the logits that are held at once: they stay in the processor's cache"""


@torch.no_grad()
def log_likelihood_bound(
    importance: Callable[[Tensor, int], tuple[Tensor, Tensor]],
    likelihood: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    samples: int,
) -> Tensor:
    """Estimate a lower bound of log p(x) by k importance samples, log 1/k Σ p(x, z)/q(z|x): (B,), in nats.

    Memory doesn't grow with k.

    Args:
        importance: images and k → logits (k, B, C, H, W) for z ~ q(z|x), and log p(z) − log q(z|x), (k, B).
        likelihood: logits (k, B, C, H, W) and images → log p(x|z), (k, B).
        x: images (B, C, H, W).
        samples: k.
    """
    chunk = max(1, min(samples, CHUNK // x.numel()))
    total = torch.full((len(x),), -math.inf, device=x.device)
    for start in range(0, samples, chunk):
        logits, log_ratio = importance(x, min(chunk, samples - start))
        log_weights = likelihood(logits, x) + log_ratio
        total = torch.logaddexp(total, torch.logsumexp(log_weights.float(), 0))
    return total - math.log(samples)

"""Multinomial likelihood of a document's words, given its length (Salakhutdinov & Hinton 2009, eq. 12)."""

import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.precision import at_least_single


class Multinomial(nn.Module):
    """Cross-entropy −Σ p log q between a document's shares of words p and the predicted q, in nats per word."""

    def forward(self, logits: Tensor, weights: Tensor) -> Tensor:
        """Return the mean over documents, for logits and non-negative weights, both (B, vocabulary_size).

        Documents without words are left out.
        """
        shares = weights / weights.sum(1, keepdim=True).clamp_min(1e-9)
        documents = (weights > 0).any(1).sum().clamp_min(1)
        return -(shares * F.log_softmax(at_least_single(logits), 1)).sum() / documents

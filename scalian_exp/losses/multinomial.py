"""Which words a document has, given its length (Salakhutdinov & Hinton 2009, eq. 12)."""

import torch.nn.functional as F
from torch import Tensor, nn


class Multinomial(nn.Module):
    """−Σ p log q of a document's word shares p and the predicted ones q, in nats per word, mean over documents."""

    def forward(self, logits: Tensor, weights: Tensor) -> Tensor:
        """Both (B, vocabulary_size), the weights from 0; documents without words are left out."""
        shares = weights / weights.sum(1, keepdim=True).clamp_min(1e-9)
        documents = (weights > 0).any(1).sum().clamp_min(1)
        return -(shares * F.log_softmax(logits, 1)).sum() / documents

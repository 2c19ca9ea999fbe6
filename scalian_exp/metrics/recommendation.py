"""Metrics of recommendation, on complete tables (users, items) whose ratings are 0 where there is none.

Errors are micro averages: over all ratings, not over users. Rankings are values of each user who likes something that
is to be predicted; items with a training rating of the user are not candidates. NDCG@k and recall@k are those of Liang
et al. 2018, "Variational autoencoders for collaborative filtering", section 4.2, given the k best items.
"""

import torch
from torch import Tensor

from scalian_exp.precision import widened


def errors(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return `rmse` and `mae` over the ratings in `target` (users, items)."""
    scored = target > 0
    difference = (predicted - target)[scored]
    return {"rmse": difference.square().mean().sqrt(), "mae": difference.abs().mean()}


def ranked(scores: Tensor, seen: Tensor, k: int) -> Tensor:
    """Return the k best candidates of each user, best first, (users, at most k).

    Args:
        scores: of all items, (users, items).
        seen: bool (users, items), items that are not candidates.
        k: number of candidates.
    """
    return scores.masked_fill(seen, -torch.inf).topk(min(k, scores.shape[1]), dim=1).indices


def hits(best: Tensor, relevant: Tensor) -> Tensor:
    """Return which of the ranked items (users, k) are relevant, for the users with any relevant item."""
    return relevant.gather(1, best)[relevant.any(1)]


def ndcg(best: Tensor, relevant: Tensor) -> Tensor:
    """Return users' NDCG, (n,): Σ 1/log₂(1 + rank) over the relevant ones of the ranked items, over its maximum."""
    relevance = widened(hits(best, relevant))
    gains = 1 / torch.log2(widened(torch.arange(2, 2 + best.shape[1], device=best.device)))
    most = gains.cumsum(0)[relevant.sum(1)[relevant.any(1)].clamp(max=best.shape[1]) - 1]
    return (relevance @ gains) / most


def recall(best: Tensor, relevant: Tensor) -> Tensor:
    """Return the share of each user's relevant items (at most k) that are among the k ranked ones, (n,)."""
    most = relevant.sum(1)[relevant.any(1)].clamp(max=best.shape[1])
    return widened(hits(best, relevant).sum(1)) / most


def standard_error(values: Tensor) -> Tensor:
    """Return the standard error of the mean of independent values (n,); NaN for fewer than two."""
    return values.std() / len(values) ** 0.5


def catalogue_coverage(best: Tensor, seen: Tensor) -> Tensor:
    """Return the share of all items that are recommended to anybody, from candidates (users, k)."""
    users = torch.arange(len(best), device=best.device).unsqueeze(1)
    return best[~seen[users, best]].unique().numel() / torch.tensor(float(seen.shape[1]), device=best.device)


def cold_start(seen: Tensor, target: Tensor, warm_items: Tensor) -> dict[str, Tensor]:
    """Count users and items of the target of which nothing was seen.

    Args:
        seen: bool (users, items), ratings that predictions may see.
        target: (users, items), ratings that are predicted.
        warm_items: bool (items,), whether anybody's rating of an item may be seen.

    Returns:
        `cold_users` and `cold_items`, how many there are; `coverage`, the share of ratings that involve neither.
    """
    scored = target > 0
    cold_user, cold_item = ~seen.any(1), ~warm_items
    warm = scored & ~cold_user.unsqueeze(1) & ~cold_item
    return {
        "coverage": warm.sum() / scored.sum(),
        "cold_users": (cold_user & scored.any(1)).sum().float(),
        "cold_items": (cold_item & scored.any(0)).sum().float(),
    }

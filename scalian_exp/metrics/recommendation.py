"""Metrics of recommendation, of whole tables (users, items): ratings are 0 where there is none.

Errors are micro averages: over all ratings, not over users. Rankings are means over users who like something that is to
be found; what a user's training ratings hold is no candidate.
"""

import torch
from torch import Tensor


def errors(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`rmse` and `mae` over the ratings in `target`."""
    scored = target > 0
    difference = (predicted - target)[scored]
    return {"rmse": difference.square().mean().sqrt(), "mae": difference.abs().mean()}


def ranked(scores: Tensor, seen: Tensor, k: int) -> Tensor:
    """The k best candidates of each user, the best first, (users, at most k).

    Args:
        seen: what is no candidate, (users, items), bool.
    """
    return scores.masked_fill(seen, -torch.inf).topk(min(k, scores.shape[1]), dim=1).indices


def found(best: Tensor, relevant: Tensor) -> Tensor:
    """Which of the ranked items (users, k) are relevant, of the users with anything relevant."""
    return relevant.gather(1, best)[relevant.any(1)]


def ndcg(best: Tensor, relevant: Tensor) -> Tensor:
    """Σ 1/log₂(1 + rank) of the relevant items among the ranked ones, divided by the most that a user's could reach."""
    hits = found(best, relevant).double()
    gains = 1 / torch.log2(torch.arange(2, 2 + best.shape[1], dtype=torch.double, device=best.device))
    most = gains.cumsum(0)[relevant.sum(1)[relevant.any(1)].clamp(max=best.shape[1]) - 1]
    return ((hits @ gains) / most).mean()


def recall(best: Tensor, relevant: Tensor) -> Tensor:
    """The share of a user's relevant items that is among the k ranked ones, of at most k."""
    most = relevant.sum(1)[relevant.any(1)].clamp(max=best.shape[1])
    return (found(best, relevant).sum(1).double() / most).mean()


def catalogue_coverage(best: Tensor, seen: Tensor) -> Tensor:
    """The share of all items that are recommended to anybody: (users, k), of the candidates only."""
    users = torch.arange(len(best), device=best.device).unsqueeze(1)
    return best[~seen[users, best]].unique().numel() / torch.tensor(float(seen.shape[1]), device=best.device)


def cold_start(seen: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`cold_users` and `cold_items`, how many are to be predicted of whom or which nothing was seen; `coverage`, the
    share of ratings of neither."""
    scored = target > 0
    cold_user, cold_item = ~seen.any(1), ~seen.any(0)
    warm = scored & ~cold_user.unsqueeze(1) & ~cold_item
    return {
        "coverage": warm.sum() / scored.sum(),
        "cold_users": (cold_user & scored.any(1)).sum().float(),
        "cold_items": (cold_item & scored.any(0)).sum().float(),
    }

"""Describe the items and the users of a table of ratings by the features of a network."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Features(NamedTuple):
    """Items and users of a table of ratings, described by the same features as deviations from the mean."""

    items: Tensor
    """how much each feature stands for each item, (items, F)"""
    users: Tensor
    """each user's share in each feature, (users, F)"""
    centre: Tensor
    """mean code of the table's rows, (F,), from which theirs deviate"""


@torch.no_grad()
def features_of(task: Any, data: Any) -> Features:
    """Compute the features of all items and users, of a task whose network has features (`HasFeatures`).

    Where rows are users, an item's are `effects`, a user's `codes`; where they are items, the other way round.
    """
    network = task.network
    codes = data.history.mapped(lambda rows: network.codes(rows.to(task.device, task.dtype))).float()
    centre = codes.mean(0)
    codes, effects = codes - centre, network.effects().float()
    return Features(effects, codes, centre) if data.rows == "users" else Features(codes, effects, centre)

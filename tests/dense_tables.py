"""Dense forms of rating data, which tests compute with."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Tables(NamedTuple):
    """The tables of a split of ratings, dense, (N, M) each."""

    rating: Tensor
    target: Tensor
    known: Tensor


def tables_of(split: Any) -> Tables:
    """Return the tables of a split of ratings, as one batch of all its rows."""
    return Tables(**split[torch.arange(len(split))])


def in_columns(table: Tensor) -> tuple[Tensor, Tensor]:
    """Return the column and value of each rating of a table (N, M), (n,) each, with which networks start."""
    rows, columns = table.nonzero(as_tuple=True)
    return columns, table[rows, columns]

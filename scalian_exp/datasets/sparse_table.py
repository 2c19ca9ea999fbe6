"""A table of ratings that keeps only those there are: most pairs of a user and an item have none."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from scalian_exp.datasets.rating_files import Triples
from scalian_exp.memory import check_fits
from scalian_exp.refusal import Refusal

ROWS_AT_ONCE = 1024


class SparseTable:
    """A table (N, M), 0 where there is no rating, whose rows are dense when they are taken: `table[indices]`.

    Args:
        cells: the ratings, all above 0.
    """

    def __init__(self, cells: sparse.csr_array):
        self.cells = cells
        cells.sort_indices()

    @classmethod
    def of(cls, ratings: Triples, shape: tuple[int, int], shift: float = 0.0) -> "SparseTable":
        """Build the table (users, items) of some ratings, to each of which `shift` is added.

        Raises:
            Refusal: if a pair of user and item has several ratings, or if a rating isn't above 0.
        """
        values = (ratings.values.double() + shift).float().numpy()
        if not (values > 0).all():
            raise Refusal("Single precision can't tell the lowest ratings from the others; divide all by a number.")
        cells = sparse.csr_array((values, (ratings.users.numpy(), ratings.items.numpy())), shape)
        if again := len(values) - cells.nnz:
            raise Refusal(f"{again} ratings are of a user and an item that have one already; keep one of each pair.")
        return cls(cells)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return some rows, by index (B,), as (B, M)."""
        return torch.from_numpy(self.cells[rows.numpy()].toarray())

    def __add__(self, other: "SparseTable") -> "SparseTable":
        """Return the table of both tables' ratings, where they have none in common."""
        return SparseTable(self.cells + other.cells)

    def __len__(self) -> int:
        return int(self.cells.shape[0])

    @property
    def T(self) -> "SparseTable":  # noqa: N802
        """The transposed table (M, N)."""
        return SparseTable(self.cells.T.tocsr())

    @property
    def columns(self) -> Tensor:
        """The column of each rating, (n,), row by row and ascending in each."""
        return torch.from_numpy(self.cells.indices).long()

    @property
    def values(self) -> Tensor:
        """Each rating, (n,), in the order of `columns`."""
        return torch.from_numpy(self.cells.data)

    def row(self, index: int) -> Tensor:
        """Return one row, (M,)."""
        return self[torch.tensor([index])][0]

    def rows(self, indices: Tensor) -> "SparseTable":
        """Return the table of some rows, by index."""
        return SparseTable(self.cells[indices.numpy()])

    def where(self, chosen: Tensor) -> "SparseTable":
        """Return a table of the same shape with some of the ratings, bool (n,)."""
        cells = self.cells.copy()
        cells.data = np.where(chosen.numpy(), cells.data, 0)
        cells.eliminate_zeros()
        return SparseTable(cells)

    def counts(self) -> Tensor:
        """Return the number of ratings in each column, (M,)."""
        return torch.bincount(self.columns, minlength=self.cells.shape[1])

    def row_counts(self) -> Tensor:
        """Return the number of ratings in each row, (N,)."""
        return torch.from_numpy(self.cells.indptr).long().diff()

    def blocks(self) -> Iterator[Tensor]:
        """Yield all rows, a block of them at a time, (at most 1024, M)."""
        yield from map(self.__getitem__, torch.arange(len(self)).split(ROWS_AT_ONCE))

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what a function returns of all rows, (N, …); it is given a block of them at a time."""
        return torch.cat([function(rows) for rows in self.blocks()])

    def dense(self) -> Tensor:
        """Return the whole table, (N, M).

        Raises:
            Refusal: if it doesn't fit in memory.
        """
        rows, columns = self.cells.shape
        advice = "leave out users and items with few ratings"
        check_fits(4 * rows * columns, f"A table of all {rows} × {columns} pairs of users and items", advice)
        return torch.from_numpy(self.cells.toarray())

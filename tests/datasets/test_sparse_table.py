"""Sparse tables of ratings against dense ones."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from scalian_exp.datasets.rating_files import Triples, triples
from scalian_exp.datasets.rating_tables import Line
from scalian_exp.datasets.sparse_table import SparseTable
from scalian_exp.refusal import Refusal


@pytest.fixture
def dense() -> Tensor:
    return torch.randint(1, 6, (2100, 13)).float() * (torch.rand(2100, 13) < 0.2)


@pytest.fixture
def table(dense: Tensor) -> SparseTable:
    """Return the same table, from ratings in random order."""
    users, items = dense.nonzero(as_tuple=True)
    order = torch.randperm(len(users))
    return SparseTable.of(Triples(users[order], items[order], dense[users, items][order] - 2), (2100, 13), shift=2.0)


def test_rows_columns_and_counts_are_those_of_the_dense_table(table: SparseTable, dense: Tensor) -> None:
    rows = torch.tensor([7, 0, 2099, 7])
    assert torch.equal(table[rows], dense[rows])
    assert torch.equal(table.row(5), dense[5])
    assert torch.equal(table.rows(rows).dense(), dense[rows])
    assert torch.equal(table.T.dense(), dense.T)
    assert torch.equal(torch.cat([*table.blocks()]), dense)
    assert [len(block) for block in table.blocks()] == [1024, 1024, 52]
    assert torch.equal(table.mapped(lambda rows: rows.sum(1)), dense.sum(1))
    assert torch.equal(table.counts(), (dense > 0).sum(0))
    assert torch.equal(table.row_counts(), (dense > 0).sum(1))
    users, items = dense.nonzero(as_tuple=True)
    assert torch.equal(table.columns, items)
    assert torch.equal(table.values, dense[users, items])
    assert len(table) == 2100


def test_chosen_ratings_and_the_others_are_the_table(table: SparseTable, dense: Tensor) -> None:
    high, low = table.where(table.values >= 4), table.where(table.values < 4)
    assert torch.equal(high.dense(), dense * (dense >= 4))
    assert torch.equal((high + low).dense(), dense)


def test_a_pair_with_two_ratings_is_refused() -> None:
    twice = Triples(torch.tensor([0, 1, 0]), torch.tensor([2, 2, 2]), torch.tensor([3.0, 4.0, 5.0]))
    with pytest.raises(Refusal, match="1 ratings are of a user and an item that have one already; keep one"):
        SparseTable.of(twice, (2, 3))


def test_ratings_that_single_precision_cannot_tell_apart_are_refused() -> None:
    """The lowest would become 0, which means that there is none."""
    far = Triples(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([-1e9, 0.0]))
    with pytest.raises(Refusal, match="Single precision can't tell the lowest ratings"):
        SparseTable.of(far, (2, 1), shift=1e9)


def test_a_dense_table_that_does_not_fit_in_memory_is_refused(
    table: SparseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalian_exp.memory.total", lambda: 2100 * 13 * 4 - 1)
    with pytest.raises(Refusal, match="A table of all 2100 × 13 pairs of users and items would take at least 109 kB"):
        table.dense()
    assert table[torch.tensor([3])].shape == (1, 13)


def test_ratings_keep_the_order_of_their_first_lines_and_the_value_of_their_last() -> None:
    text = [("b", "x", "1"), ("a", "y", "2"), ("b", "x", "3"), ("a", "x", "4"), ("a", "y", "5"), ("b", "x", "2")]
    lines = [Line(*fields, Path("ratings.csv"), number) for number, fields in enumerate(text, 1)]
    found = triples(lines, {"a": 0, "b": 1}, {"x": 0, "y": 1}, [1, 2, 3, 4, 5])
    assert [column.tolist() for column in found] == [[1, 0, 0], [0, 1, 0], [2.0, 5.0, 4.0]]

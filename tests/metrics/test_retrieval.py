"""Nearest neighbours against loops over all pairs."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from scalian_exp.actions.nearest import Nearest, without
from scalian_exp.actions.representations import Split
from scalian_exp.metrics.retrieval import Distance, Neighbours, nearest, precision
from scalian_exp.refusal import Refusal


def distance(a: np.ndarray, b: np.ndarray, kind: Distance) -> float:
    if kind == "euclidean":
        return float(np.sqrt(((a - b) ** 2).sum()))
    lengths = np.sqrt((a**2).sum()) * np.sqrt((b**2).sum())
    return 1.0 - (float(a @ b) / lengths if lengths > 0 else 0.0)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_nearest_neighbours_equal_those_of_a_double_loop(kind: Distance, container: type) -> None:
    rng = np.random.default_rng(0)
    examples, queries = rng.normal(size=(30, 5)).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
    examples[7] = queries[2] = 0  # a document without known words
    result = nearest(container(examples), container(queries), 6, kind)
    for row, query in enumerate(queries):
        all_distances = sorted(distance(example, query, kind) for example in examples)
        assert result.distances[row] == pytest.approx(all_distances[:6], abs=1e-3)
        distances = [distance(examples[index], query, kind) for index in result.indices[row]]
        assert distances == pytest.approx(all_distances[:6], abs=1e-3)


def test_an_example_is_never_its_own_neighbour() -> None:
    neighbours = Neighbours(np.array([[0.0, 0.0, 1.0]]), np.array([[4, 2, 9]]))
    assert without(neighbours, 2).indices.tolist() == [[4, 9]]
    assert without(neighbours, 5).indices.tolist() == [[4, 2]]  # crowded out by equally near examples


def test_more_neighbours_than_examples_are_refused() -> None:
    with pytest.raises(Refusal, match="11 neighbours are wanted, but there are 10 examples"):
        nearest(np.eye(10), np.eye(10), 11)


def test_ties_are_not_broken_by_the_order_of_the_file(tmp_path: Path) -> None:
    """All codes are equal and the examples sorted by class, so the first ten would all be of class 0."""
    labels = np.repeat([0, 1], 100)
    split = Split(np.zeros((200, 3), np.float32), np.random.default_rng(0).random((200, 4), np.float32), labels)
    values = json.loads(Nearest().compare(split, split, tmp_path, None).read_text())
    for kind in ("codes (3)", "codes as 3 bits"):
        of_each = [values[f"precision_at_10/{kind}/{label}"] for label in (0, 1)]
        assert sum(of_each) == pytest.approx(1)
        assert 0.1 <= of_each[0] <= 0.9


def test_bits_tell_on_which_side_of_the_median_a_code_lies(tmp_path: Path) -> None:
    """Codes on different sides of the median have different bits, and those of one class have the same."""
    codes = np.array([[0.1, 0.1]] * 10 + [[-0.1, -0.1]] * 10, np.float32)
    train = Split(codes, codes, np.repeat([0, 1], 10))
    values = json.loads(Nearest(distance="euclidean").compare(train, train, tmp_path, None).read_text())
    assert values["precision_at_10/codes as 2 bits/all"] == 1


def test_precision_by_hand() -> None:
    labels = np.array([0, 0, 1, 1])
    shares = precision(np.array([[0, 1], [0, 2], [2, 3]]), labels, np.array([0, 1, 0]))
    assert shares.tolist() == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_both_engines_find_the_same_neighbours(kind: Distance) -> None:
    pytest.importorskip("faiss", reason="pip install '.[faiss]'")
    rng = np.random.default_rng(0)
    examples, queries = rng.normal(size=(50, 6)).astype(np.float32), rng.normal(size=(5, 6)).astype(np.float32)
    ours, theirs = (nearest(examples, queries, 4, kind, engine) for engine in ("sklearn", "faiss"))
    assert np.array_equal(ours.indices, theirs.indices)
    assert np.allclose(ours.distances, theirs.distances, atol=1e-4)

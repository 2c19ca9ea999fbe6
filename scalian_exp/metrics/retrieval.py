"""Nearest examples, and how many of them, or of those within a Hamming radius, have the same class."""

from typing import Any, Literal, NamedTuple

import numpy as np

from scalian_exp.ranges import NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal

Distance = Literal["euclidean", "cosine", "hamming"]
PAIRS = 2**22
"""pairs of examples whose distance is computed at once"""


class Neighbours(NamedTuple):
    """Nearest examples of each query, nearest first, (Q, k) each."""

    distances: np.ndarray
    indices: np.ndarray


def nearest(
    examples: Any,
    queries: Any,
    count: PositiveInt,
    distance: Distance = "euclidean",
    engine: Literal["sklearn", "faiss"] = "sklearn",
) -> Neighbours:
    """Search exactly among examples (N, D) for the nearest to queries (Q, D), both dense or, with sklearn, sparse.

    A cosine distance is 1 − cos; for a vector of zeros it is taken to be 1. A Hamming distance is the number of
    places in which two vectors of 0 and 1 differ.

    Args:
        examples: (N, D).
        queries: (Q, D).
        count: number of neighbours of each query.
        distance: euclidean, cosine or hamming.
        engine: library that searches.

    Raises:
        Refusal: if there are fewer examples than neighbours wanted, or faiss isn't installed.
    """
    if count > examples.shape[0]:
        raise Refusal(
            f"{count} neighbours are wanted, but there are {examples.shape[0]} examples; ask for fewer (count=…)."
        )
    if distance == "cosine":
        examples, queries = directions(examples, 0), directions(queries, 1)
    result = by_faiss(examples, queries, count) if engine == "faiss" else by_sklearn(examples, queries, count)
    if distance == "cosine":
        return Neighbours(result.distances**2 / 2, result.indices)  # |a − b|² = 2 − 2 cos
    return Neighbours(np.rint(result.distances**2), result.indices) if distance == "hamming" else result


def directions(rows: Any, axis: Literal[0, 1]) -> Any:
    """Normalise rows (N, D) to length 1, (N, D + 2); zeros get a direction of their own, orthogonal to all others.

    Args:
        rows: dense or sparse.
        axis: 0 for examples, 1 for queries, so that their zeros are orthogonal too.
    """
    from scipy import sparse
    from sklearn.preprocessing import normalize

    extra = np.zeros((rows.shape[0], 2), dtype=np.float32)
    extra[np.asarray(abs(rows).sum(axis=1)).ravel() == 0, axis] = 1
    normal = normalize(rows)
    return sparse.hstack([normal, extra]).tocsr() if sparse.issparse(rows) else np.hstack([normal, extra])


def by_sklearn(examples: Any, queries: Any, count: int) -> Neighbours:
    """Search by Euclidean distance with scikit-learn."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(examples)
    return Neighbours(*search.kneighbors(queries))


def by_faiss(examples: np.ndarray, queries: np.ndarray, count: int) -> Neighbours:
    """Search by Euclidean distance with faiss.

    Raises:
        Refusal: if faiss isn't installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise Refusal("faiss isn't installed; pip install '.[faiss]', or use engine=sklearn.") from error
    index = faiss.IndexFlatL2(examples.shape[1])
    index.add(np.ascontiguousarray(examples, dtype=np.float32))
    squares, indices = index.search(np.ascontiguousarray(queries, dtype=np.float32), count)
    return Neighbours(np.sqrt(np.maximum(squares, 0)), indices)


def without(result: Neighbours, own: int) -> Neighbours:
    """Remove a training example from its own neighbours; among equally near ones it isn't always the first."""
    others = result.indices[0] != own
    if others.all():
        others[-1] = False
    return Neighbours(result.distances[:, others], result.indices[:, others])


class Ball(NamedTuple):
    """Examples within a Hamming radius of queries: means over the queries."""

    found: float
    """number of examples"""
    precision: float
    """share of the examples found that have the query's label; 0 for a query that finds none"""
    recall: float
    """share of the examples with the query's label that are found"""
    none: float
    """share of the queries that find no example"""


def within_radius(
    examples: np.ndarray, queries: np.ndarray, labels: np.ndarray, wanted: np.ndarray, radius: NonNegativeInt
) -> Ball:
    """Count the examples within a Hamming radius of each query, and those of them that have the query's label.

    Args:
        examples: vectors of 0 and 1, (N, D).
        queries: vectors of 0 and 1, (Q, D).
        labels: the examples' labels, (N,).
        wanted: the queries' labels, (Q,).
        radius: number of bits that may differ.
    """
    each = []
    for start in range(0, len(queries), max(1, PAIRS // len(examples))):
        part = slice(start, start + max(1, PAIRS // len(examples)))
        bits, own = queries[part], wanted[part, None] == labels
        near = bits.sum(1)[:, None] + examples.sum(1) - 2 * bits @ examples.T <= radius + 0.5
        each.append(np.stack([near.sum(1), (near & own).sum(1), own.sum(1)]))
    found, right, existing = np.concatenate(each, 1)
    return Ball(
        float(found.mean()),
        float((right / np.maximum(found, 1)).mean()),
        float((right / np.maximum(existing, 1)).mean()),
        float((found == 0).mean()),
    )


def precision(neighbours: np.ndarray, labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the share of each query's neighbours (Q, k) that have the query's label `wanted` (Q,): (Q,), in [0, 1]."""
    return (labels[neighbours] == wanted[:, None]).mean(1)

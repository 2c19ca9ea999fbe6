"""Nearest examples, and how many of them have the same class."""

from typing import Any, Literal, NamedTuple

import numpy as np

from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal

Distance = Literal["euclidean", "cosine"]


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

    A cosine distance is 1 − cos; for a vector of zeros it is taken to be 1.

    Args:
        examples: (N, D).
        queries: (Q, D).
        count: number of neighbours of each query.
        distance: euclidean or cosine.
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
    return result


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


def precision(neighbours: np.ndarray, labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the share of each query's neighbours (Q, k) that have the query's label `wanted` (Q,): (Q,), in [0, 1]."""
    return (labels[neighbours] == wanted[:, None]).mean(1)

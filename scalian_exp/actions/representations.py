"""The codes of a data set beside what they compete with: its raw inputs, and as many principal components."""

from typing import Any, NamedTuple

import numpy as np
import torch

from scalian_exp.actions.action import prepared
from scalian_exp.checkpoint import Loaded


class Split(NamedTuple):
    codes: np.ndarray
    """(N, latent_dim)"""
    inputs: Any
    """(N, D), dense or sparse"""
    labels: np.ndarray | None
    """(N,)"""


@torch.no_grad()
def gather(model: Loaded, data: Any, split: str) -> Split:
    """Codes, inputs and labels of a whole split, in its order."""
    from scipy import sparse

    codes, inputs, labels = [], [], []
    for batch in data.loader(split):
        on_device = prepared(model, data, batch)
        x = model.task.inputs(on_device)
        codes.append(model.task.network.encode(x).flatten(1).float().cpu().numpy())
        flat = x.flatten(1).float().cpu().numpy()
        inputs.append(sparse.csr_matrix(flat) if "text" in batch else flat)
        if "label" in batch:
            labels.append(batch["label"].numpy())
    stacked: Any = sparse.vstack(inputs).tocsr() if sparse.issparse(inputs[0]) else np.concatenate(inputs)
    return Split(np.concatenate(codes), stacked, np.concatenate(labels) if labels else None)


def components(train: Any, others: list[Any], count: int) -> list[np.ndarray]:
    """Principal components of the training inputs, for these and others; of sparse ones truncated SVD, uncentred."""
    from scipy import sparse
    from sklearn.decomposition import PCA, TruncatedSVD

    count = min(count, *train.shape)
    method = TruncatedSVD(count, random_state=0) if sparse.issparse(train) else PCA(count, random_state=0)
    return [method.fit_transform(train), *[method.transform(x) for x in others]]


def competitors(train: Split, test: Split) -> dict[str, tuple[Any, Any]]:
    """name → (training, test) representation: codes, as many components, and the inputs themselves.

    As many components as inputs would be the inputs, turned: they are left out then.
    """
    from scipy import sparse

    size, width = train.codes.shape[1], train.inputs.shape[1]
    found = {f"codes ({size})": (train.codes, test.codes)}
    if size < width:
        name = "svd" if sparse.issparse(train.inputs) else "pca"
        reduced = components(train.inputs, [test.inputs], size)
        found[f"{name} ({reduced[0].shape[1]})"] = (reduced[0], reduced[1])
    return {**found, f"inputs ({width})": (train.inputs, test.inputs)}

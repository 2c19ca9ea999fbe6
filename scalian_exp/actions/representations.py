"""Gather the codes of a data set, and the representations they compete with: raw inputs and principal components."""

from typing import Any, NamedTuple

import numpy as np
import torch

from scalian_exp.actions.action import prepared
from scalian_exp.checkpoint import Loaded


class Split(NamedTuple):
    """Codes, inputs and labels of all examples of a split."""

    codes: np.ndarray
    """Codes (N, latent_dim)."""
    inputs: Any
    """Inputs (N, D), dense or sparse."""
    labels: np.ndarray | None
    """Class indices (N,); None without labels."""


@torch.no_grad()
def gather(model: Loaded, data: Any, split: str) -> Split:
    """Encode all examples of a split, in its order."""
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
    """Project training inputs and others onto the training inputs' principal components; sparse ones uncentred."""
    from scipy import sparse
    from sklearn.decomposition import PCA, TruncatedSVD

    count = min(count, *train.shape)
    method = TruncatedSVD(count, random_state=0) if sparse.issparse(train) else PCA(count, random_state=0)
    return [method.fit_transform(train), *[method.transform(x) for x in others]]


def competitors(train: Split, test: Split) -> dict[str, tuple[Any, Any]]:
    """Return the (training, test) representations by name: codes, equally many components, and the inputs.

    Components are left out if there are as many as inputs, because they would be a rotation of the inputs.
    """
    from scipy import sparse

    size, width = train.codes.shape[1], train.inputs.shape[1]
    result = {f"codes ({size})": (train.codes, test.codes)}
    if size < width:
        name = "svd" if sparse.issparse(train.inputs) else "pca"
        reduced = components(train.inputs, [test.inputs], size)
        result[f"{name} ({reduced[0].shape[1]})"] = (reduced[0], reduced[1])
    return {**result, f"inputs ({width})": (train.inputs, test.inputs)}

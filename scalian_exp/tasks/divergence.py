"""Diverged trainings: detect NaN and infinite values, and tell the user which checkpoints remain."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scalian_exp.folders import BEST, LAST, START
from scalian_exp.refusal import Refusal

JUDGED = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that contain NaN or infinite values, in one pass over them and without a copy.

    Types for which torch has no such kernel, such as 8-bit floats and complex numbers, are skipped.
    """
    stored = {name: stored_values(tensor.detach()) for name, tensor in tensors.items()}
    names = [name for name, values in stored.items() if values.dtype in JUDGED and values.numel()]
    if not names:
        return []
    # If there is a NaN, aminmax returns it as both extremes; isfinite() of all values would take eight times as long.
    finite = [torch.stack(torch.aminmax(stored[name])).isfinite().all() for name in names]
    return [name for name, is_finite in zip(names, torch.stack(finite).tolist(), strict=True) if not is_finite]


def stored_values(tensor: Tensor) -> Tensor:
    """Return the values that a tensor stores: all of them for a dense one."""
    if tensor.layout == torch.sparse_coo:
        return tensor.coalesce().values()
    return tensor if tensor.layout == torch.strided else tensor.values()


def diverged(what: str, trainer: Any) -> Refusal:
    """Return the refusal that ends a diverged run: what became NaN or infinite, what remains, and the remedy."""
    folder = Path(trainer.default_root_dir)
    last = LAST if (folder / LAST).exists() else START
    meanings = {BEST: "the best", last: "the last good one"}
    files = [f"{folder / name} ({meaning})" for name, meaning in meanings.items() if (folder / name).exists()]
    clip = ", or clip its gradients (trainer.gradient_clip_val=1, which resume=… takes too)"
    return Refusal(
        f"In epoch {trainer.current_epoch + 1}, step {trainer.global_step}, {what} became NaN or infinite: the "
        f"training has diverged. Kept: {' and '.join(files) or 'nothing'}. Restart it with a lower learning rate "
        f"(model.optimizer.lr){clip if trainer.lightning_module.automatic_optimization else ''}."
    )

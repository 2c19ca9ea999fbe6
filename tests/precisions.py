"""Precisions that a test can't choose by a trainer: torch's default type, and a device without double precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    """Change torch's default type for a while, as Lightning does inside the steps of bf16-true."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class NoDouble(TorchDispatchMode):
    """Operations fail that take or give double precision, as they do on Apple's GPUs."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, result)):
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64:
                raise TypeError(f"{func}: no double precision here")
        return result


@contextmanager
def without_double() -> Iterator[None]:
    """Treat the CPU as a device without double precision."""
    with patch("scalian_exp.precision.widest", lambda _: torch.float32), NoDouble():
        yield

"""Arrays in a page, as text that the page's engine unpacks.

Bytes are grouped by significance before they are compressed, because exponents of weights are alike and last digits
aren't.
"""

import base64
import zlib
from typing import Any, Literal

import numpy as np
from torch import Tensor

Kind = Literal["f4", "f2", "u1", "i1", "u2", "i4"]
DTYPES: dict[Kind, str] = {"f4": "<f4", "f2": "<f2", "u1": "u1", "i1": "i1", "u2": "<u2", "i4": "<i4"}
LEVELS = 32767
"""quantised absolute value of the largest weight in a row"""


class Pack:
    """Named arrays, which `text` compresses into one string."""

    def __init__(self) -> None:
        self.index: dict[str, dict[str, Any]] = {}
        """name → kind, shape and position; the page's engine reads it beside the text"""
        self.grouped: list[bytes] = []
        self.length = 0

    def add(self, name: str, values: Any, kind: Kind) -> None:
        """Add an array under a name: f4 and f2 are floats, the others whole numbers of that many bytes.

        Raises:
            ValueError: if whole numbers don't fit, a float is NaN, or a finite one too large.
        """
        given = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
        array = np.ascontiguousarray(given, dtype=DTYPES[kind])
        same = ~np.isnan(array) & (np.isinf(array) <= np.isinf(given)) if kind[0] == "f" else array == given
        if not same.all():
            raise ValueError(f"{name} has values that {kind} can't hold")
        data = array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T.tobytes()
        self.index[name] = {"kind": kind, "shape": list(array.shape), "at": self.length}
        self.grouped.append(data)
        self.length += len(data)

    def exact(self, name: str, values: Tensor) -> None:
        """Add a tensor of floats or integers without quantising it."""
        if values.is_floating_point():
            self.add(name, values, "f4")
        else:
            self.add(name, values.int(), "i4")

    def weights(self, name: str, values: Tensor) -> None:
        """Add weights (rows, …) as 16-bit whole numbers and a scale for each row.

        That is as short as float16 and six times as exact, because the weights of a row are of similar size. The
        engine reads them as floats.
        """
        levels, scale = quantised(values)
        self.add(f"{name}.scale", scale, "f4")
        self.add(name, levels, "u2")
        self.index[name]["scale"] = f"{name}.scale"

    def text(self) -> str:
        """Return all arrays, compressed (raw deflate), in base64."""
        compressor = zlib.compressobj(7, zlib.DEFLATED, -15)  # 9 takes ten times as long for half a per cent
        return base64.b64encode(compressor.compress(b"".join(self.grouped)) + compressor.flush()).decode()


def quantised(weights: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Quantise weights (rows, …): whole numbers 0 … 65534 of the same shape, and the scale of each row.

    A weight is (number − 32767) · scale of its row.
    """
    matrix = weights.detach().cpu().float().numpy()
    rows = matrix.reshape(len(matrix), -1)
    scale = np.abs(rows).max(1) / LEVELS
    scale[scale == 0] = 1
    return (np.round(rows / scale[:, None]) + LEVELS).reshape(matrix.shape), scale.astype(np.float32)


class Shared:
    """Weights that several programs of a page use, each stored once."""

    def __init__(self) -> None:
        self.pack = Pack()
        self.tensors: list[Tensor] = []

    def name_of(self, tensor: Tensor) -> str:
        """Return the name of a tensor, which is added if it is new."""
        known = next((number for number, other in enumerate(self.tensors) if other is tensor), None)
        if known is not None:
            return f"n{known}"
        self.tensors.append(tensor)
        name = f"n{len(self.tensors) - 1}"
        if tensor.dim() > 1 and tensor.is_floating_point():
            self.pack.weights(name, tensor)
        else:
            self.pack.exact(name, tensor)
        return name

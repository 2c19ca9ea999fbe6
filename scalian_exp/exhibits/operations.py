"""Operations of torch as the page's engine computes them: one row a torch operation.

A row maps a node of an exported graph to an operation of the engine with its attributes; the engine (frame/engine.js)
has a function of that name. To teach the page an operation, add a row here and, if none fits, a function there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Attributes = dict[str, Any]
Row = Callable[..., tuple[str, list[Any], Attributes]]
"""the node's arguments, its value's shape as `shape=` → the engine's operation, its operands, its attributes"""


def pair(values: int | Sequence[int]) -> list[int]:
    """Return the values along height and width; one given value means both."""
    both = [values] if isinstance(values, int) else list(values)
    return both * 2 if len(both) == 1 else both


def unary(name: str) -> Row:
    """Return the row of an elementwise function without attributes."""
    return lambda x, *_, shape, **__: (name, [x], {})


def binary(name: str) -> Row:
    """Return the row of an elementwise operation of two operands, which are broadcast."""

    def row(x: Any, y: Any, *, shape: list[int], alpha: float = 1, **_: Any) -> tuple[str, list[Any], Attributes]:
        return name, [x, y], {"alpha": alpha} if alpha != 1 else {}

    return row


def reshaped(x: Any, *_: Any, shape: list[int], **__: Any) -> tuple[str, list[Any], Attributes]:
    """Give an array another shape; its order in memory stays."""
    return "reshape", [x], {}


def convolution(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    shape: list[int],
) -> tuple[str, list[Any], Attributes]:
    """Convolve (1, C, H, W)."""
    attributes = {"stride": pair(stride), "padding": pair(padding), "dilation": pair(dilation), "groups": groups}
    return "convolution", [x, weight, bias], attributes


def transposed(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    shape: list[int],
) -> tuple[str, list[Any], Attributes]:
    """Convolve transposed (1, C, H, W); the output's shape says what output_padding would."""
    attributes = {"stride": pair(stride), "padding": pair(padding), "dilation": pair(dilation), "groups": groups}
    return "transposed", [x, weight, bias], attributes


def max_pool(
    x: Any,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    shape: list[int],
) -> tuple[str, list[Any], Attributes]:
    """Take the maximum over windows."""
    attributes = {"kernel": pair(kernel), "stride": pair(stride or kernel), "padding": pair(padding)}
    return "max_pool", [x], {**attributes, "dilation": pair(dilation)}


def separable(resize: Callable[[Tensor], Tensor], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the two matrices, (H', H) and (W', W), of a linear map of images that treats rows and columns apart."""
    rows = resize(torch.eye(height).view(1, height, height, 1).expand(1, height, height, width))[0, :, :, 0].T
    columns = resize(torch.eye(width).view(1, width, 1, width).expand(1, width, height, width))[0, :, 0].T
    return rows, columns


def batch_norm(
    x: Any,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    training: bool,
    momentum: float,
    epsilon: float,
    *_: Any,
    shape: list[int],
) -> tuple[str, list[Any], Attributes]:
    """Normalise each channel by running statistics: a scale and a shift."""
    scale = (variance + epsilon).rsqrt() * (1 if weight is None else weight)
    return "affine", [x, scale, (0 if bias is None else bias) - mean * scale], {}


def softmax(x: Any, dim: int, *_: Any, shape: list[int], **__: Any) -> tuple[str, list[Any], Attributes]:
    """Normalise exponentials along a dimension."""
    return "softmax", [x], {"dim": dim % len(shape)}


def permuted(x: Any, order: Sequence[int], *, shape: list[int]) -> tuple[str, list[Any], Attributes]:
    """Reorder dimensions."""
    return "permute", [x], {"order": [dim % len(shape) for dim in order]}


def swapped(x: Any, first: int = 0, second: int = 1, *, shape: list[int]) -> tuple[str, list[Any], Attributes]:
    """Swap two dimensions."""
    order = list(range(len(shape)))
    order[first], order[second] = order[second], order[first]
    return "permute", [x], {"order": order}


def sliced(
    x: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1, *, shape: list[int]
) -> tuple[str, list[Any], Attributes]:
    """Take a range along a dimension; the output's shape says where it ends."""
    return "slice", [x], {"dim": dim % len(shape), "start": start or 0, "step": step}


def selected(x: Any, dim: int, index: int, *, shape: list[int]) -> tuple[str, list[Any], Attributes]:
    """Take one index of a dimension, which goes."""
    return "slice", [x], {"dim": dim % (len(shape) + 1), "start": index, "step": 1, "kept": False}


def joined(parts: Sequence[Any], dim: int = 0, *, shape: list[int]) -> tuple[str, list[Any], Attributes]:
    """Concatenate along a dimension."""
    return "concatenate", list(parts), {"dim": dim % len(shape)}


def padded(
    x: Any, sides: Sequence[int], mode: str = "constant", value: float | None = None, *, shape: list[int]
) -> tuple[str, list[Any], Attributes]:
    """Pad the last dimensions by a constant; `sides` begins with the last dimension, as torch's does."""
    if mode != "constant":
        raise NotImplementedError(f"padding by {mode}")
    return "pad", [x], {"before": list(sides[0::2]), "value": value or 0}


def reduced(
    name: str,
) -> Row:
    """Return the row of a sum or mean over dimensions."""

    def row(x: Any, dims: Any = None, *_: Any, shape: list[int], **__: Any) -> tuple[str, list[Any], Attributes]:
        return name, [x], {"dims": None if dims is None else [dims] if isinstance(dims, int) else list(dims)}

    return row


def clamped(
    x: Any, low: float | None = None, high: float | None = None, *, shape: list[int]
) -> tuple[str, list[Any], Attributes]:
    """Limit values to a range."""
    return "clamp", [x], {"low": low, "high": high}


def with_attribute(operation: str, name: str, default: float) -> Row:
    """Return the row of an elementwise function with one number."""

    def row(x: Any, value: float = default, *_: Any, shape: list[int], **__: Any) -> tuple[str, list[Any], Attributes]:
        return operation, [x], {name: value}

    return row


SAME = {
    "alias",
    "clone",
    "contiguous",
    "detach",
    "to",
    "_to_copy",
    "dropout",
    "feature_dropout",
    "lift_fresh_copy",
    "type_as",
}
"""operations that change no value of a network that only infers"""
NOTHING = {"_assert_tensor_metadata", "promote_types", "_assert_async", "sym_constrain_range_for_size"}
"""operations that only check"""

ROWS: dict[str, Row] = {
    **{name: unary(name) for name in ("relu", "sigmoid", "tanh", "exp", "log", "sqrt", "abs", "neg", "square")},
    **{name: unary(name) for name in ("rsqrt", "silu", "reciprocal", "logit", "hardsigmoid", "hardswish", "relu6")},
    **{name: binary(name) for name in ("add", "sub", "mul", "div", "minimum", "maximum", "pow")},
    **dict.fromkeys(
        ("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "_unsafe_view", "view_as", "reshape_as"),
        reshaped,
    ),
    "rsub": lambda x, y, **given: binary("sub")(y, x, **given),
    "linear": lambda x, weight, bias=None, *, shape: ("linear", [x, weight, bias], {}),
    "addmm": lambda bias, x, weight, *, shape, **_: ("matmul", [x, weight, bias], {}),
    "mm": lambda x, y, *, shape: ("matmul", [x, y, None], {}),
    "matmul": lambda x, y, *, shape: ("matmul", [x, y, None], {}),
    "conv2d": convolution,
    "batch_norm": batch_norm,
    "conv_transpose2d": transposed,
    "max_pool2d": max_pool,
    "softmax": softmax,
    "log_softmax": lambda *given, **named: ("log_softmax", *softmax(*given, **named)[1:]),
    "permute": permuted,
    "transpose": swapped,
    "t": swapped,
    "slice": sliced,
    "narrow": lambda x, dim, start, _, *, shape: sliced(x, dim, start, shape=shape),
    "select": selected,
    "cat": joined,
    "pad": padded,
    "constant_pad_nd": lambda x, sides, value=0.0, *, shape: padded(x, sides, "constant", value, shape=shape),
    "sum": reduced("sum"),
    "mean": reduced("mean"),
    "clamp": clamped,
    "clamp_min": lambda x, low, *, shape: clamped(x, low, shape=shape),
    "clamp_max": lambda x, high, *, shape: clamped(x, None, high, shape=shape),
    "hardtanh": lambda x, low=-1.0, high=1.0, *, shape: clamped(x, low, high, shape=shape),
    "leaky_relu": with_attribute("leaky_relu", "slope", 0.01),
    "elu": with_attribute("elu", "alpha", 1.0),
    "softplus": lambda x, *_, shape, **__: ("softplus", [x], {}),
    "gelu": lambda x, *, shape, approximate="none": ("gelu", [x], {"approximate": approximate != "none"}),
    "expand": lambda x, *_, shape, **__: ("expand", [x], {}),
    "expand_as": lambda x, *_, shape, **__: ("expand", [x], {}),
}

RESIZES = {"adaptive_avg_pool2d", "avg_pool2d", "upsample_bilinear2d", "upsample_nearest2d", "upsample_bicubic2d"}
"""linear maps of images that treat rows and columns apart"""

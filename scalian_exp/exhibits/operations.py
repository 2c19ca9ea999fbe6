"""Operations of torch as the page's engine computes them: one row for each.

A row takes the arguments of an operation in an exported graph and returns the engine's operation: frame/operations.js
has a function of that name. To teach the page an operation, add a row here and, if no function of the engine does, a
function there.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.arguments import Arguments, Operation, UnknownUseError

Row = Callable[[Arguments], Operation]


def pair(values: int | Sequence[int]) -> list[int]:
    """Return the values for height and width; a single value stands for both."""
    both = [values] if isinstance(values, int) else list(values)
    return both * 2 if len(both) == 1 else both


def unary(name: str) -> Row:
    """Return the row of an operation that has one operand and no attributes."""
    return lambda a: Operation(name, [a.first])


def binary(name: str) -> Row:
    """Return the row of an elementwise operation of two operands, which are broadcast."""
    return lambda a: Operation(name, [a.first, a.second], {"alpha": alpha} if (alpha := a.get("alpha", 1)) != 1 else {})


def reshape(a: Arguments) -> Operation:
    """Reshape the first argument to the result's shape, however torch specifies it."""
    a.unread.clear()
    return Operation("reshape", [a.first])


def linear(a: Arguments) -> Operation:
    """Apply a dense layer; a weight that is the transpose of another tensor shares that tensor's array."""
    weight = a["weight"]
    if isinstance(weight, Tensor) and (other := weight._base) is not None and weight.t().is_set_to(other):
        return Operation("matmul", [a["input"], other, a["bias"]])
    return Operation("linear", [a["input"], weight, a["bias"]])


def convolution(name: str) -> Row:
    """Return the row of a convolution of one image, or its transpose; the result's shape implies output_padding."""

    def row(a: Arguments) -> Operation:
        a.image()
        attributes = {key: pair(a[key]) for key in ("stride", "dilation")}
        attributes["padding"] = padding(a["padding"], attributes["dilation"], a["weight"].shape[2:])
        return Operation(name, [a["input"], a["weight"], a["bias"]], {**attributes, "groups": a["groups"]})

    return row


def padding(given: Any, dilation: list[int], kernel: Sequence[int]) -> list[int]:
    """Return a convolution's padding in numbers; refuse "same" where the two sides would differ."""
    if given == "valid":
        return [0, 0]
    if given != "same":
        return pair(given)
    both = [step * (size - 1) for step, size in zip(dilation, kernel, strict=True)]
    if any(width % 2 for width in both):
        raise UnknownUseError("padding='same' of a kernel of even size")
    return [width // 2 for width in both]


def batch_norm(a: Arguments) -> Operation:
    """Normalise each channel by running statistics: a scale and a shift."""
    scale = (a["running_var"] + a["eps"]).rsqrt() * (1 if a["weight"] is None else a["weight"])
    return Operation("affine", [a.first, scale, (0 if a["bias"] is None else a["bias"]) - a["running_mean"] * scale])


def max_pool(a: Arguments) -> Operation:
    """Take the maximum over windows."""
    a.image()
    kernel = pair(a["kernel_size"])
    attributes = {"stride": pair(a["stride"] or kernel), "padding": pair(a["padding"]), "dilation": pair(a["dilation"])}
    return Operation("max_pool", [a.first], {"kernel": kernel, **attributes})


def matmul(x: Any, y: Any) -> Operation:
    """Multiply batches of matrices of the same size, or a batch by a single matrix or vector."""
    if len(y.shape) > 2 and list(x.shape[:-2]) != list(y.shape[:-2]):
        raise UnknownUseError(f"of {list(x.shape)} and {list(y.shape)}")
    return Operation("matmul", [x, y, None])


def scattered(a: Arguments) -> Operation:
    """Put one tensor into a range of another."""
    numbers = torch.arange(math.prod(a["self"].shape)).view(tuple(a["self"].shape))
    places = torch.ops.aten.slice.Tensor(numbers, a["dim"], a["start"], a["end"], a["step"])
    return Operation("scatter", [a["self"], a["src"], places])


def softmax(name: str) -> Row:
    """Return the row of a softmax along a dimension, or of its logarithm."""
    return lambda a: Operation(name, [a.first], {"dim": a.dim("dim", len(a.shape))})


def swapped(a: Arguments) -> Operation:
    """Swap two dimensions; those of a matrix if none are named."""
    order = list(range(len(a.shape)))
    if len(order) < 2:
        return Operation("reshape", [a.first])
    first, second = a.get("dim0", 0), a.get("dim1", 1)
    order[first], order[second] = order[second], order[first]
    return Operation("permute", [a.first], {"order": order})


def sliced(x: Any, dim: int, start: int, step: int = 1, kept: bool = True) -> Operation:
    """Take a range along a dimension, as long as in the result's shape, or one index if the dimension isn't kept.

    A negative start counts from the end.
    """
    first = max(start + x.shape[dim], 0) if start < 0 else start
    return Operation("slice", [x], {"dim": dim, "start": first, "step": step, "kept": kept})


def padded(a: Arguments) -> Operation:
    """Pad the last dimensions with a constant; `pad` lists the last dimension first."""
    if a.get("mode", "constant") != "constant" or min(a["pad"]) < 0:
        raise UnknownUseError(f"padding by {a.get('mode', '')} {a['pad']}")
    return Operation("pad", [a.first], {"before": list(a["pad"][0::2]), "value": a["value"] or 0})


def reduced(name: str) -> Row:
    """Return the row of a sum or mean over dimensions."""

    def row(a: Arguments) -> Operation:
        dims = a.get("dim")
        return Operation(name, [a.first], {"dims": [dims] if isinstance(dims, int) else list(dims or []) or None})

    return row


def clamped(low: str | float | None, high: str | float | None) -> Row:
    """Return the row that limits values; a bound is a number or the name of an argument."""

    def row(a: Arguments) -> Operation:
        bounds = [a[bound] if isinstance(bound, str) else bound for bound in (low, high)]
        if any(bound is not None and not isinstance(bound, int | float) for bound in bounds):
            raise UnknownUseError("between tensors")
        return Operation("clamp", [a.first], {"low": bounds[0], "high": bounds[1]})

    return row


def separable(resize: Callable[[Tensor], Tensor], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the two matrices, (H', H) and (W', W), of a linear map of images that is separable.

    Raises:
        UnknownUseError: if it isn't such a map.
    """
    rows = resize(torch.eye(height).view(1, height, height, 1).expand(1, height, height, width))[0, :, :, 0].T
    columns = resize(torch.eye(width).view(1, width, 1, width).expand(1, width, height, width))[0, :, 0].T
    rows = rows / resize(torch.ones(1, 1, height, width))[0, 0, 0, 0]  # a factor that both contain
    image = torch.rand(1, 1, height, width)
    if torch.allclose(rows @ image @ columns.T, resize(image), atol=1e-5):
        return rows, columns
    raise UnknownUseError("which isn't a product of rows and columns")


SAME = {"alias", "clone", "contiguous", "detach", "to", "_to_copy", "dropout", "feature_dropout", "lift_fresh_copy"}
"""operations that leave values unchanged in evaluation mode"""
NOTHING = {"_assert_tensor_metadata", "_assert_async", "promote_types"}
"""operations that only check"""
SPLITS = {"chunk", "split", "split_with_sizes", "tensor_split", "unbind", "unsafe_split", "unsafe_chunk"}
"""operations that return several parts"""
FACTORIES = {"new_full", "new_zeros", "new_ones", "full_like", "zeros_like", "ones_like"}
"""operations that use only the shape of their input"""
TAKES = {
    "index",
    "repeat_interleave",
    "repeat",
    "tile",
    "flip",
    "roll",
    "index_select",
    "pixel_shuffle",
    "pixel_unshuffle",
}
"""operations whose results are elements of their input, at positions that don't depend on its values"""
RESIZES = {"adaptive_avg_pool2d", "avg_pool2d", "upsample_bilinear2d", "upsample_nearest2d", "upsample_bicubic2d"}
"""linear maps of images that are separable into rows and columns"""

ROWS: dict[str, Row] = {
    **{name: unary(name) for name in ("relu", "sigmoid", "tanh", "exp", "log", "sqrt", "abs", "neg", "square")},
    **{name: unary(name) for name in ("rsqrt", "silu", "reciprocal", "hardsigmoid", "hardswish", "relu6")},
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "view_as"), reshape
    ),
    **{name: unary("expand") for name in ("expand", "expand_as")},
    **{name: binary(name) for name in ("add", "sub", "mul", "div", "minimum", "maximum", "pow")},
    "rsub": lambda a: Operation("sub", [a["other"], a["self"]]),
    "softplus": unary("softplus"),
    "logit": lambda a: Operation("logit", [a.first], {"eps": a["eps"]}),
    "linear": linear,
    "addmm": lambda a: Operation("matmul", [a["mat1"], a["mat2"], a["self"]]),
    "mm": lambda a: matmul(a["self"], a["mat2"]),
    "matmul": lambda a: matmul(a["self"], a["other"]),
    "bmm": lambda a: matmul(a["self"], a["mat2"]),
    "conv2d": convolution("convolution"),
    "conv_transpose2d": convolution("transposed"),
    "batch_norm": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm,
    "slice_scatter": scattered,
    "max_pool2d": max_pool,
    "softmax": softmax("softmax"),
    "log_softmax": softmax("log_softmax"),
    "permute": lambda a: Operation("permute", [a.first], {"order": [dim % len(a.shape) for dim in a["dims"]]}),
    "transpose": swapped,
    "t": swapped,
    "slice": lambda a: sliced(a.first, a.dim("dim", len(a.shape)), a["start"] or 0, a["step"]),
    "narrow": lambda a: sliced(a.first, a.dim("dim", len(a.shape)), a["start"]),
    "select": lambda a: sliced(a.first, a.dim("dim", len(a.shape) + 1), a["index"], kept=False),
    "cat": lambda a: Operation("concatenate", list(a["tensors"]), {"dim": a.dim("dim", len(a.shape))}),
    "stack": lambda a: Operation(
        "concatenate", list(a["tensors"]), {"dim": a.dim("dim", len(a.shape)), "stacked": True}
    ),
    "pad": padded,
    "constant_pad_nd": padded,
    "where": lambda a: Operation("where", [a["condition"], a["self"], a["other"]]),
    "masked_fill": lambda a: Operation("where", [a["mask"], a["value"], a["self"]]),
    "sum": reduced("sum"),
    "mean": reduced("mean"),
    "clamp": clamped("min", "max"),
    "clamp_min": clamped("min", None),
    "clamp_max": clamped(None, "max"),
    "hardtanh": clamped("min_val", "max_val"),
    "leaky_relu": lambda a: Operation("leaky_relu", [a.first], {"slope": a["negative_slope"]}),
    "elu": lambda a: Operation("elu", [a.first], {"alpha": a["alpha"]}),
    "gelu": lambda a: Operation("gelu", [a.first], {"approximate": a["approximate"] != "none"}),
}

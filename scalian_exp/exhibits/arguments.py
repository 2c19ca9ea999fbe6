"""Operations of the page's engine, and the arguments of the operations of torch that they stand for."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class UnknownUseError(Exception):
    """A use of an operation that the page doesn't support; the message is a phrase that describes it."""


class Operation(NamedTuple):
    """An operation of the engine."""

    name: str
    operands: list[Any]
    attributes: dict[str, Any] = {}  # noqa: RUF012 (of a named tuple: never changed)


class Arguments:
    """Arguments of a torch operation by their names in its schema; records which of them have been read.

    Args:
        values: name → value, in the schema's order.
        defaults: name → default, of those that have one.
    """

    shape: list[int]
    """shape of the operation's result"""

    def __init__(self, values: dict[str, Any], defaults: dict[str, Any]):
        self.values, self.defaults = values, defaults
        self.unread = set(values) - WITHOUT_EFFECT

    def __getitem__(self, name: str) -> Any:
        if name not in self.values:
            raise UnknownUseError(f"without {name}")
        self.unread.discard(name)
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument, or the default if the operation has none of that name."""
        return self[name] if name in self.values else default

    @property
    def first(self) -> Any:
        """The first argument: what the operation works on."""
        return self[next(iter(self.values))]

    @property
    def second(self) -> Any:
        """The second argument."""
        return self[list(self.values)[1]]

    def dim(self, name: str, dims: int) -> int:
        """Return an argument that names one of `dims` dimensions, counted from 0."""
        return int(self[name]) % dims

    def image(self) -> list[int]:
        """Return height and width of the first argument, which must be one image, (1, C, H, W).

        Raises:
            UnknownUseError: if it isn't.
        """
        if len(self.first.shape) != 4 or self.first.shape[0] != 1:
            raise UnknownUseError(f"on {list(self.first.shape)}, not one image (1, C, H, W)")
        return list(self.first.shape[2:])

    def check_all_read(self) -> None:
        """Check that a row has read all arguments that aren't at their default.

        Raises:
            UnknownUseError: if it hasn't.
        """
        if changed := [name for name in self.unread if self.values[name] != self.defaults.get(name)]:
            raise UnknownUseError(", ".join(f"{name}={self.values[name]}" for name in sorted(changed)))


WITHOUT_EFFECT = {
    *("size", "start_dim", "end_dim", "sizes", "implicit", "shape"),  # implied by the result's shape
    *("end", "length", "output_padding", "output_size", "ceil_mode", "keepdim"),
    *("dtype", "layout", "device", "pin_memory", "memory_format", "copy", "non_blocking"),
    *("training", "momentum", "cudnn_enabled", "half_to_float"),
}
"""arguments without effect on a network in evaluation mode, or implied by the result's shape"""


def by_name(target: Any, arguments: Sequence[Any], named: dict[str, Any]) -> Arguments:
    """Return the arguments of a torch operation by their names in its schema, including defaults."""
    known = target._schema.arguments
    defaults = {argument.name: argument.default_value for argument in known if argument.has_default_value()}
    given = dict(zip((argument.name for argument in known), arguments, strict=False)) | named
    values = {argument.name: given.get(argument.name, defaults.get(argument.name)) for argument in known}
    return Arguments(values, defaults)

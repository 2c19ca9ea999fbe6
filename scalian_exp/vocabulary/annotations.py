"""Checks of config values against a parameter's annotation, read from its syntax alone."""

import ast
from collections.abc import Callable
from math import inf
from typing import Any

from scalian_exp.ranges import LIMITS, fold_of

Check = Callable[[Any], str | None]
"""value → None if it fits, else a description of what would fit"""
PLAIN = {"int": int, "float": float, "bool": bool, "str": str}
DESCRIPTIONS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
LISTS = {"list", "List", "Sequence", "Iterable", "Iterator", "Collection", "MutableSequence", "set", "Set", "frozenset"}
TUPLES = {"tuple", "Tuple"}
MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict"}
PATHS = {"Path", "PathLike"}
ANYTHING = {"Any", "object"}
OR, ONE_OF = " or ", "one of "
"""between alternatives in a description; before the values of a Literal"""
TYPING = {"Optional", "Union", "Literal", "Annotated", "Callable", "type", "Type"}
BUILT_IN = {*PLAIN, *LIMITS, *LISTS, *TUPLES, *MAPPINGS, *PATHS, *ANYTHING, *TYPING, "Tensor", "Fold", "None"}
"""names that are understood without looking up their definition"""
CLASS = ast.Name("(class)")
"""stands for any class whose instances can't be written as plain values in YAML"""


class UnknownAnnotationError(Exception):
    """An annotation that these checks don't understand, so that values can't be judged by it."""


def expected(value: Any, annotation: ast.expr | None) -> str | None:
    """Return None if a config's value fits an annotation or can't be judged; else a description of what would fit.

    Args:
        value: the value in the resolved config.
        annotation: the parameter's annotation with aliases expanded (see signatures.py); None if it has none.
    """
    try:
        return check_of(annotation)(value) if annotation is not None else None
    except UnknownAnnotationError:
        return None


def check_of(annotation: ast.expr) -> Check:
    """Return the check for an annotation.

    Raises:
        UnknownAnnotationError: if it isn't understood.
    """
    match annotation:
        case ast.Constant(value=None):
            return lambda value: None if value is None else "null"
        case ast.Constant(value=str(text)):
            return check_of(ast.parse(text, mode="eval").body)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return either([left, right])
        case ast.Subscript(value=ast.Name() | ast.Attribute() as outer, slice=inner):
            return subscripted(name_of(outer), inner.elts if isinstance(inner, ast.Tuple) else [inner])
        case ast.Name() | ast.Attribute():
            return named(annotation)
    raise UnknownAnnotationError(ast.unparse(annotation))


def name_of(node: ast.Name | ast.Attribute) -> str:
    """Return the last part of a name: `Optional` for Optional, typing.Optional and t.Optional alike."""
    return node.id if isinstance(node, ast.Name) else node.attr


def subscripted(name: str, inner: list[ast.expr]) -> Check:
    """Return the check for a subscripted annotation, such as list[int]."""
    if name == "Optional":
        return either([inner[0], ast.Constant(None)])
    if name == "Union":
        return either(inner)
    if name == "Annotated":
        return check_of(inner[0])
    if name == "Literal":
        allowed = [ast.literal_eval(each) for each in inner if isinstance(each, ast.Constant | ast.UnaryOp)]
        wanted = ONE_OF + ", ".join(map(as_yaml, allowed))
        return lambda value: None if any(value == one and type(value) is type(one) for one in allowed) else wanted
    if name in LISTS:
        return list_of(check_of(inner[0]))
    if name in TUPLES:
        if len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is ...:
            return list_of(check_of(inner[0]))
        return tuple_of([check_of(each) for each in inner])
    if name in MAPPINGS:
        return mapping_of(check_of(inner[-1]))
    if name == "Callable":
        return lambda value: None if is_built(value) else "a node with a _target_ and _partial_: true"
    return is_node  # a user's class, such as Loader[int]


def named(node: ast.Name | ast.Attribute) -> Check:
    """Return the check for an annotation that is a plain name, such as int."""
    name = name_of(node)
    if name in ANYTHING:
        return anything
    if name in PLAIN:
        return lambda value: None if is_a(value, PLAIN[name]) else DESCRIPTIONS[name]
    if name in LIMITS:
        return within(*LIMITS[name])
    if name == "Fold":
        return lambda value: None if is_fold(value) else "a fold k/n with k ≤ n and n ≥ 2, such as 1/5,"
    if name in LISTS | TUPLES:
        return list_of(anything)
    if name in MAPPINGS:
        return mapping_of(anything)
    if name in PATHS:
        return lambda value: None if isinstance(value, str) else "a path"
    if name == "Tensor":
        return lambda _: ""  # no config can give one
    if name == "Callable":
        return lambda value: None if is_built(value) else "a node with a _target_ and _partial_: true"
    if node is CLASS or isinstance(node, ast.Attribute):
        return is_node
    raise UnknownAnnotationError(name)


def is_fold(value: Any) -> bool:
    """Return whether a value is a fold, such as 1/5."""
    try:
        return isinstance(value, str) and bool(fold_of(value))
    except ValueError:
        return False


def anything(_: Any) -> None:
    """Accept every value."""


def is_node(value: Any) -> str | None:
    """Accept a node with a `_target_`, from which an object is built."""
    return None if is_built(value) else "a node with a _target_"


def either(choices: list[ast.expr]) -> Check:
    """Return a check that accepts what at least one of several annotations accepts."""
    checks = [check_of(choice) for choice in choices]

    def check(value: Any) -> str | None:
        wanted = [check(value) for check in checks]
        if None in wanted:
            return None
        each = [part for description in wanted if description for part in description.split(OR)]
        values = [value for part in each if part.startswith(ONE_OF) for value in part.removeprefix(ONE_OF).split(", ")]
        listed = [ONE_OF + ", ".join(dict.fromkeys(values))] if values else []
        return OR.join(dict.fromkeys([*listed, *(part for part in each if not part.startswith(ONE_OF))]))

    return check


def list_of(each: Check) -> Check:
    """Return a check that accepts lists whose items all pass another check."""

    def check(value: Any) -> str | None:
        if is_built(value):
            return None
        if not isinstance(value, list):
            return "a list"
        return next((f"a list, each item {wanted}" for item in value if (wanted := each(item))), None)

    return check


def tuple_of(each: list[Check]) -> Check:
    """Return a check that accepts lists of a fixed length, with one check for each item."""

    def check(value: Any) -> str | None:
        if is_built(value):
            return None
        if not isinstance(value, list) or len(value) != len(each):
            return f"a list of {len(each)} items"
        wrong = (wanted for item, check in zip(value, each, strict=True) if (wanted := check(item)))
        return next((f"a list of {len(each)} items, each {wanted}" for wanted in wrong), None)

    return check


def mapping_of(each: Check) -> Check:
    """Return a check that accepts mappings whose values all pass another check."""

    def check(value: Any) -> str | None:
        if is_built(value):
            return None
        if not isinstance(value, dict):
            return "a mapping such as {name: value}"
        return next((f"a mapping, each value {wanted}" for item in value.values() if (wanted := each(item))), None)

    return check


def within(kind: type, low: float, high: float, wanted: str) -> Check:
    """Return a check that accepts numbers of a type from `low` to `high`, both included."""

    def check(value: Any) -> str | None:
        if not is_a(value, kind):
            return wanted
        limit = f" to {high}" if high < value and kind is int and not wanted.endswith(str(high)) else ""
        return None if low <= value <= high else wanted + limit

    return check


def is_built(value: Any) -> bool:
    """Return whether a value is a node with a `_target_`, from which an object is built."""
    return isinstance(value, dict) and "_target_" in value


def is_a(value: Any, kind: type) -> bool:
    """Return whether a config's value has a type.

    Integers count as floats too; NaN, infinity and integers beyond 64 bits fit no type.
    """
    if isinstance(value, bool):
        return kind is bool
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and abs(value) < (2**63 if kind is int else inf)
    return isinstance(value, kind)


def as_yaml(value: Any) -> str:
    """Write a value as in YAML: true and false in lower case."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def as_given(value: Any) -> str:
    """Write a value for a message: null as in YAML, everything else as in Python."""
    return "null" if value is None else repr(value)

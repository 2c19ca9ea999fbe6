"""JSON schemas of values that fit a parameter's annotation, for editors: annotations.py checks the same. No torch."""

import ast
from math import inf
from typing import Any

from scalian_exp.ranges import LIMITS
from scalian_exp.vocabulary.annotations import ANYTHING, CLASS, LISTS, MAPPINGS, PATHS, PLAIN, TUPLES, name_of

Schema = dict[str, Any]
NAMES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}
REFERENCE = r"\$\{|^\?\?\?$"
"""matches ${…}, which may stand for any value, and ???, a value that the user must give"""
FOLD: Schema = {
    "type": "string",
    "pattern": rf"^[1-9]\d*/[1-9]\d*$|{REFERENCE}",
    "patternErrorMessage": "A part of the examples goes here, such as 1/5, or ${…}.",
}
"""the schema of the text of a fold"""
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
"""type → what a message calls it"""


class AnyValueFitsError(Exception):
    """Every value fits an annotation, or values can't be judged by it."""


def value_of(annotation: ast.expr | None, node: Schema) -> Schema:
    """Return the schema of a config's values that fit an annotation; {} if any value does.

    Args:
        annotation: the parameter's annotation with aliases expanded; None if it has none.
        node: the schema of a mapping from which an object is built, where the annotation asks for an object.
    """
    try:
        return joined(alternatives(annotation, node)) if annotation is not None else {}
    except AnyValueFitsError:
        return {}


def joined(choices: list[Schema]) -> Schema:
    """Return the schema of values that fit one of several schemas, or refer to another value of the config."""
    unique = [choice for number, choice in enumerate(choices) if choice not in choices[:number]]
    if any("$ref" in choice for choice in unique):  # where an object may stand, so may null
        unique = [choice for choice in unique if choice != {"type": "null"}]
    if not unique or (len(unique) == 1 and "$ref" in unique[0]):  # nothing that a config could give, or an object
        return unique[0] if unique else {}
    simple = [choice for choice in unique if "type" in choice]
    types = [choice["type"] for choice in simple]
    keywords = [key for choice in simple for key in choice if key != "type"]
    if len(set(keywords)) < len(keywords):  # two of the same type that differ in their limits
        return {"anyOf": [*unique, reference()]}
    merged = {key: value for choice in simple for key, value in choice.items() if key != "type"}
    if "string" not in types:
        merged |= reference(*types)
    names = list(dict.fromkeys([*types, "string"]))
    plain = {"type": names[0] if len(names) == 1 else names, **{k: v for k, v in merged.items() if k != "type"}}
    others = [choice for choice in unique if "type" not in choice]
    return {"anyOf": [*others, plain]} if others else plain


def reference(*types: str) -> Schema:
    """Return the schema of a text that refers to another value, where values of these types fit too."""
    wanted = " or ".join([*(WORDS.get(each, each) for each in types), "${…}"])
    return {
        "type": "string",
        "pattern": REFERENCE,
        "patternErrorMessage": f"{wanted[0].upper()}{wanted[1:]} goes here.",
    }


def alternatives(annotation: ast.expr, node: Schema) -> list[Schema]:
    """Return schemas of which a value that fits an annotation fits one.

    Raises:
        AnyValueFitsError: if every value fits.
    """
    match annotation:
        case ast.Constant(value=None):
            return [{"type": "null"}]
        case ast.Constant(value=str(text)):
            return alternatives(ast.parse(text, mode="eval").body, node)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return [*alternatives(left, node), *alternatives(right, node)]
        case ast.Subscript(value=ast.Name() | ast.Attribute() as outer, slice=inner):
            return subscripted(name_of(outer), inner.elts if isinstance(inner, ast.Tuple) else [inner], node)
        case ast.Name() | ast.Attribute():
            return named(annotation, node)
    raise AnyValueFitsError


def subscripted(name: str, inner: list[ast.expr], node: Schema) -> list[Schema]:
    """Return the alternatives of a subscripted annotation, such as list[int]."""
    if name in ("Optional", "Union"):
        choices = [choice for each in inner for choice in alternatives(each, node)]
        return [*choices, {"type": "null"}] if name == "Optional" else choices
    if name == "Annotated":
        return alternatives(inner[0], node)
    if name == "Literal":
        return [{"enum": [ast.literal_eval(each) for each in inner if isinstance(each, ast.Constant | ast.UnaryOp)]}]
    if name in TUPLES and not is_ellipsis(inner[-1]):
        size = {"minItems": len(inner), "maxItems": len(inner)}
        return [{"type": "array", "items": [value_of(each, node) for each in inner], **size}]
    if name in LISTS | TUPLES:
        return [{"type": "array", "items": value_of(inner[0], node)}]
    if name in MAPPINGS:
        return [{"type": "object", "additionalProperties": value_of(inner[-1], node)}]
    return [node]  # a class with type parameters, such as Loader[int], or a function


def is_ellipsis(node: ast.expr) -> bool:
    """Return whether a tuple's annotation ends in …, so that it may have any length."""
    return isinstance(node, ast.Constant) and node.value is ...


def named(annotation: ast.Name | ast.Attribute, node: Schema) -> list[Schema]:
    """Return the alternatives of an annotation that is a plain name, such as int.

    Raises:
        AnyValueFitsError: if every value fits it, or it isn't understood.
    """
    name = name_of(annotation)
    if name == "Tensor":
        return []  # no config can give one
    if name in PLAIN:
        return [{"type": NAMES[name]}]
    if name in LIMITS:
        return [limited(*LIMITS[name])]
    if name == "Fold":
        return [FOLD]
    if name in LISTS | TUPLES:
        return [{"type": "array"}]
    if name in MAPPINGS:
        return [{"type": "object"}]
    if name in PATHS:
        return [{"type": "string"}]
    if name not in ANYTHING and (name == "Callable" or annotation is CLASS or isinstance(annotation, ast.Attribute)):
        return [node]
    raise AnyValueFitsError


def limited(kind: type, low: float, high: float, _: str) -> Schema:
    """Return the schema of numbers within limits."""
    below: Schema = {"exclusiveMinimum": 0} if 0 < low < 1 else {"minimum": low}
    above: Schema = {} if high == inf else {"exclusiveMaximum": 1} if 0 < high < 1 else {"maximum": high}
    return {"type": NAMES[kind.__name__], **below, **above}

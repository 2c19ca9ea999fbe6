"""What a `_target_` takes, read from its source without importing it: torch alone would take two seconds to import."""

import ast
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any

from scalian_exp.ranges import LIMITS

PLAIN = {"int": int, "float": float, "bool": bool, "str": str}
WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
LIBRARIES = ("torch", "pytorch_lightning", "torchmetrics")
"""whose base classes' own __init__ takes nothing that a config would give"""


@dataclass(frozen=True)
class Parameter:
    annotation: ast.expr | None
    required: bool


@dataclass(frozen=True)
class Signature:
    parameters: dict[str, Parameter]
    open: bool
    """takes any further keyword"""


def signature(target: str) -> Signature | None:
    """The parameters of the class or function at a dotted path; None where the source doesn't tell."""
    module, _, name = target.rpartition(".")
    found = find(module, name)
    if found is None:
        return None
    module, node = found
    if isinstance(node, ast.FunctionDef):
        return parameters(node, skip=0)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return parameters(item, skip=1)
    if node.decorator_list or (len(node.bases) > 1 and not all(is_library(module, base) for base in node.bases)):
        return None  # a dataclass's __init__ is written nowhere, and of several bases any may have it
    if not node.bases or is_library(module, node.bases[0]):
        return Signature({}, open=False)
    return signature(f"{module}.{node.bases[0].id}") if isinstance(node.bases[0], ast.Name) else None


def is_library(module: str, base: ast.expr) -> bool:
    """Is a base class object, ABC, or one of the libraries' (nn.Module, pl.Callback, …)?"""
    root = base
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name):
        return False
    return root.id in ("object", "ABC") or imported_from(module, root.id).split(".")[0] in LIBRARIES


def imported_from(module: str, name: str) -> str:
    """The module that a name in another one was imported from, or that it is; nothing if it is defined there."""
    file = source(module)
    for node in parse(file).body if file is not None else []:
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            if name in [alias.asname or alias.name for alias in node.names]:
                return node.module or ""
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name.split(".")[0]) == name:
                    return alias.name
    return ""


def find(module: str, name: str) -> tuple[str, ast.ClassDef | ast.FunctionDef] | None:
    """The definition of a name, and the module in which it stands; imports are followed."""
    file = source(module)
    if file is None:
        return None
    for node in parse(file).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
                    parts = package[: len(package) - node.level + 1] if node.level else []
                    return find(".".join([*parts, *(node.module or "").split(".")]).strip("."), alias.name)
    return None


@cache
def source(module: str) -> Path | None:
    """The file of a module, found from its top package without importing that."""
    top, *rest = module.split(".")
    spec = find_spec(top) if top else None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    for part in rest:
        folder = path.parent
        path = next((p for p in (folder / part / "__init__.py", folder / f"{part}.py") if p.exists()), Path())
        if path == Path():
            return None
    return path


@cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def parameters(function: ast.FunctionDef, skip: int) -> Signature:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = len(positional) - len(arguments.defaults)
    found = {a.arg: Parameter(a.annotation, index < without_default) for index, a in enumerate(positional)}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found[argument.arg] = Parameter(argument.annotation, default is None)
    for argument in positional[:skip]:
        del found[argument.arg]
    return Signature(found, arguments.kwarg is not None)


def expected(value: Any, annotation: ast.expr | None) -> str | None:
    """Nothing if a config's value fits an annotation, or if the annotation says nothing about configs; else what would
    fit, in words."""
    match annotation:
        case ast.Constant(value=None):
            return None if value is None else "null"
        case ast.Constant(value=str(text)):
            return expected(value, ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, right=right):
            return either(value, [left, right])
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return either(value, [inner, ast.Constant(None)])
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=choices)):
            return either(value, choices)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            elements = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            allowed = [element.value for element in elements if isinstance(element, ast.Constant)]
            return None if value in allowed else "one of " + ", ".join(map(str, allowed))
        case ast.Subscript(value=ast.Name(id="list" | "List" | "Sequence"), slice=inner):
            if not isinstance(value, list):
                return "a list"
            return next((f"a list, each {words}" for item in value if (words := expected(item, inner))), None)
        case ast.Attribute(attr="Module"):
            return None if isinstance(value, dict) else "a node with a _target_"
        case ast.Subscript(value=ast.Name(id="Callable")):
            return None if isinstance(value, dict) else "a node with a _target_ and _partial_: true"
        case ast.Name(id="Tensor"):
            return ""  # no config can give one
        case ast.Name(id=name) if name in PLAIN:
            return None if is_a(value, PLAIN[name]) else WORDS[name]
        case ast.Name(id=name) if name in LIMITS:
            kind, low, high, words = LIMITS[name]
            if not is_a(value, kind):
                return words
            return None if low <= value <= high else f"{words} to {high}" if high < value and kind is int else words
    return None


def either(value: Any, choices: list[ast.expr]) -> str | None:
    words = [expected(value, choice) for choice in choices]
    return None if None in words else " or ".join(word for word in words if word)


def is_a(value: Any, kind: type) -> bool:
    """Is a config's value of a type? Integers are numbers too; NaN, infinity and integers beyond 64 bits are none."""
    if isinstance(value, bool):
        return kind is bool
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and abs(value) < (2**63 if kind is int else inf)
    return isinstance(value, kind)

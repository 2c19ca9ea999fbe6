"""Signatures of `_target_`s, read from their source: importing torch alone would take two seconds."""

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from scalian_exp.vocabulary.annotations import BUILT_IN, CLASS, name_of

LIBRARIES = ("torch", "pytorch_lightning", "torchmetrics")
"""whose base classes' own __init__ takes nothing that a config would give"""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a class's constructor or of a function."""

    written: ast.expr | None
    """its annotation"""
    module: str
    """where it stands"""
    required: bool

    @property
    def annotation(self) -> ast.expr | None:
        """The annotation with aliases replaced; computed on demand, as reading their files takes a while."""
        return self.written and Spelled(self.module).visit(deepcopy(self.written))


@dataclass(frozen=True)
class Signature:
    """The parameters of a class's constructor or of a function."""

    parameters: dict[str, Parameter]
    open: bool
    """takes any further keyword"""


def signature(target: str) -> Signature | None:
    """Return the signature of the class or function at a dotted path; None where the source doesn't show it."""
    module, _, name = target.rpartition(".")
    found = find(module, name)
    if found is None:
        return None
    module, node = found
    if isinstance(node, ast.FunctionDef):
        return parameters(module, node, skip=0)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return parameters(module, item, skip=1)
    if node.decorator_list or (len(node.bases) > 1 and not all(is_library(module, base) for base in node.bases)):
        return None  # a dataclass's __init__ is written nowhere, and of several bases any may have it
    if not node.bases or is_library(module, node.bases[0]):
        return Signature({}, open=False)
    return signature(f"{module}.{node.bases[0].id}") if isinstance(node.bases[0], ast.Name) else None


def is_library(module: str, base: ast.expr) -> bool:
    """Return whether a base class is object, ABC, or one of the libraries' (nn.Module, pl.Callback, …)."""
    root = base
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name):
        return False
    return root.id in ("object", "ABC") or imported_from(module, root.id).split(".")[0] in LIBRARIES


def imported_from(module: str, name: str) -> str:
    """Return the module that a name was imported from, or that it denotes; empty if the name is defined there."""
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
    """Find a class or function by name, following imports, and return it with the module that defines it."""
    found = defined(module, name)
    return found if found and isinstance(found[1], ast.ClassDef | ast.FunctionDef) else None  # type: ignore[return-value]


def defined(module: str, name: str) -> tuple[str, ast.ClassDef | ast.FunctionDef | ast.expr] | None:
    """Find a definition by name as `find` does; also the expression of an alias, as `Number = int | float`."""
    file = source(module)
    if file is None:
        return None
    for node in statements(parse(file)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return module, node.value
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return None if node.value is None else (module, node.value)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
                    parts = package[: len(package) - node.level + 1] if node.level else []
                    return defined(".".join([*parts, *(node.module or "").split(".")]).strip("."), alias.name)
    return None


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a module, including those below `if TYPE_CHECKING:` and `try:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try):
            yield from statements(child)
        elif isinstance(child, ast.stmt):
            yield child


class Spelled(ast.NodeTransformer):
    """A transformer that replaces the aliases in an annotation by their definitions, and class names by CLASS."""

    def __init__(self, module: str):
        self.module = module

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Replace aliases in a subscripted annotation, except in the values of a Literal."""
        outer = node.value
        if isinstance(outer, ast.Name | ast.Attribute) and name_of(outer) == "Literal":
            return node
        inner = self.visit(node.slice)
        return ast.Subscript(
            outer if isinstance(outer, ast.Name) and outer.id in BUILT_IN else self.visit(outer), inner
        )

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Parse an annotation that is written as a string, and replace its aliases."""
        return self.visit(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Leave a dotted name as it is."""
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a name by its definition, or by CLASS if it is a class."""
        if node.id in BUILT_IN:
            return node
        found = defined(self.module, node.id)
        if found is None:
            return node
        module, definition = found
        if isinstance(definition, ast.ClassDef):
            return CLASS
        if isinstance(definition, ast.Call):  # a TypeVar may be anything, a NewType is what it is made of
            new = isinstance(definition.func, ast.Name) and definition.func.id == "NewType"
            return Spelled(module).visit(definition.args[1]) if new else ast.Name("Any")
        return Spelled(module).visit(definition) if isinstance(definition, ast.expr) else node


@cache
def source(module: str) -> Path | None:
    """Return the file of a module, located from its top package without importing the module."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top) if top else None
    except ValueError:  # a module without a file: a script's or notebook's __main__, or one made by hand
        return None
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
    """Parse a Python file; each is parsed once."""
    return ast.parse(file.read_text(encoding="utf-8"))


def parameters(module: str, function: ast.FunctionDef, skip: int) -> Signature:
    """Return the signature of a function of a module, without its first `skip` parameters."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    found = {
        argument.arg: Parameter(argument.annotation, module, default is None)
        for argument, default in zip([*positional, *arguments.kwonlyargs], defaults, strict=True)
    }
    for argument in positional[:skip]:
        del found[argument.arg]
    return Signature(found, arguments.kwarg is not None)

"""Locate definitions of classes, functions and aliases in source files, without importing their modules."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def find(module: str, name: str) -> tuple[str, ast.ClassDef | ast.FunctionDef] | None:
    """Find a class or function by name, following imports, and return it with the module that defines it."""
    result = defined(module, name)
    return result if result and isinstance(result[1], ast.ClassDef | ast.FunctionDef) else None  # type: ignore[return-value]


def defined(module: str, name: str) -> tuple[str, ast.ClassDef | ast.FunctionDef | ast.expr] | None:
    """Find a definition by name as `find` does, including aliases such as `Number = int | float`."""
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
                    return defined(origin_of(module, node), alias.name)
    return None


def origin_of(module: str, node: ast.ImportFrom) -> str:
    """Return the dotted path of the module from which an import statement in another module imports."""
    if not node.level:
        return node.module or ""
    file = source(module)
    package = module.split(".")[: None if file is not None and file.name == "__init__.py" else -1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a module, including those below `if TYPE_CHECKING:` and `try:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try):
            yield from statements(child)
        elif isinstance(child, ast.stmt):
            yield child


def imports(module: str) -> Iterator[tuple[str, str]]:
    """Yield each name that a module imports, and the dotted path that it stands for."""
    file = source(module)
    for node in statements(parse(file)) if file is not None else ():
        if isinstance(node, ast.ImportFrom):
            origin = origin_of(module, node)
            for alias in node.names:
                yield alias.asname or alias.name, f"{origin}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, alias.name if alias.asname else top


def path_of(module: str, name: ast.expr) -> str | None:
    """Return the dotted path of what a module calls `name` or `package.name`; None for other expressions."""
    if isinstance(name, ast.Attribute):
        outer = path_of(module, name.value)
        return outer and f"{outer}.{name.attr}"
    return dict(imports(module)).get(name.id, f"{module}.{name.id}") if isinstance(name, ast.Name) else None


@cache
def source(module: str) -> Path | None:
    """Return the file of a module, located from its top package without importing the module."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top) if top else None
    except ValueError:  # a module without a file: the __main__ of a script or notebook, or one created in code
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

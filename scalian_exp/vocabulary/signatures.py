"""Signatures of `_target_`s, read from their source: importing torch alone would take two seconds."""

import ast
import re
from copy import deepcopy
from dataclasses import dataclass

from scalian_exp.vocabulary.annotations import BUILT_IN, CLASS, name_of
from scalian_exp.vocabulary.definitions import defined, find, path_of
from scalian_exp.vocabulary.docstrings import described

WITHOUT_CONSTRUCTOR = {"object", "ABC", "Generic", "Protocol"}
"""base classes without a constructor"""
TAKE_NOTHING = r"torch\.nn\.(.*\.)?Module|(pytorch_)?lightning\.(.*\.)?LightningModule"
"""library classes whose constructors have **kwargs, but take no argument that a config would give"""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a class's constructor or of a function."""

    written: ast.expr | None
    """its annotation, as written"""
    module: str
    """the module that it is written in"""
    default: ast.expr | None
    """its default, as written; None if an argument is required"""
    name: str
    documented: tuple[ast.AST, ...]
    """the function, and for a constructor its class, whose docstrings describe it"""

    @property
    def required(self) -> bool:
        """Whether an argument must be given."""
        return self.default is None

    @property
    def description(self) -> str:
        """Its description in a docstring; empty if there is none."""
        return described(*self.documented).get(self.name, "")

    @property
    def annotation(self) -> ast.expr | None:
        """The annotation with aliases expanded; computed on demand, because reading their files takes a while."""
        return self.written and ExpandAliases(self.module).visit(deepcopy(self.written))


@dataclass(frozen=True)
class Signature:
    """The parameters of a class's constructor or of a function."""

    parameters: dict[str, Parameter]
    open: bool
    """whether it takes any further keyword"""


NOTHING = Signature({}, open=False)


def signature(target: str) -> Signature | None:
    """Return the signature of the class or function at a dotted path; None if the source doesn't show it."""
    module, _, name = target.rpartition(".")
    definition = find(module, name)
    if definition is None:
        return None
    module, node = definition
    return parameters(module, node, (node,), skip=0) if isinstance(node, ast.FunctionDef) else constructor(module, node)


def constructor(module: str, node: ast.ClassDef) -> Signature | None:
    """Return the signature of a class's constructor, with the parameters that `**kwargs` pass on to the base class."""
    init = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    if init is None:  # a dataclass's __init__ is written nowhere
        return None if node.decorator_list else of_bases(module, node)
    own = parameters(module, init, (node, init), skip=1)
    call = passed_on(init)
    inherited = of_bases(module, node) if call else None
    if call is None or inherited is None:
        return own
    by_position = [*inherited.parameters][: sum(not isinstance(each, ast.Starred) for each in call.args)]
    given = {*by_position, *(keyword.arg for keyword in call.keywords)}
    others = {name: each for name, each in inherited.parameters.items() if name not in given | own.parameters.keys()}
    return Signature({**own.parameters, **others}, inherited.open)


def passed_on(init: ast.FunctionDef) -> ast.Call | None:
    """Return a constructor's call `super().__init__(…, **kwargs)`, if it uses its `**kwargs` for nothing else."""
    if init.args.kwarg is None:
        return None
    kwargs = init.args.kwarg.arg
    if sum(isinstance(node, ast.Name) and node.id == kwargs for node in ast.walk(init)) != 1:
        return None  # kwargs may be changed before the call, so any argument may be valid
    for node in ast.walk(init):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name("super")), attr="__init__")):
                if any(each.arg is None and isinstance(each.value, ast.Name) for each in node.keywords):
                    return node
    return None


def of_bases(module: str, node: ast.ClassDef) -> Signature | None:
    """Return the signature of the constructor that a class inherits; None if the source doesn't show it."""
    paths = [path_of(module, base.value if isinstance(base, ast.Subscript) else base) for base in node.bases]
    bases = [path for path in paths if path is None or path.rpartition(".")[2] not in WITHOUT_CONSTRUCTOR]
    signatures = [of_base(path) for path in bases]
    if len(signatures) == 1 or (bases and has_constructor(bases[0])):  # the first base class comes next after the class
        return signatures[0]
    return NOTHING if all(each == NOTHING for each in signatures) else None  # any of several base classes may define it


def has_constructor(path: str | None) -> bool:
    """Return whether the class at a dotted path itself defines `__init__`."""
    module, _, name = (path or "").rpartition(".")
    definition = find(module, name) if module else None
    body = definition[1].body if definition and isinstance(definition[1], ast.ClassDef) else []
    return any(isinstance(item, ast.FunctionDef) and item.name == "__init__" for item in body)


def of_base(path: str | None) -> Signature | None:
    """Return the signature of the constructor of the base class at a dotted path."""
    if path is None:
        return None
    return NOTHING if re.fullmatch(TAKE_NOTHING, path) else signature(path)


def parameters(module: str, function: ast.FunctionDef, documented: tuple[ast.AST, ...], skip: int) -> Signature:
    """Return the signature of a function defined in a module.

    Args:
        module: its dotted path.
        function: its definition.
        documented: definitions whose docstrings describe the parameters.
        skip: number of first parameters to leave out.
    """
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    result = {
        argument.arg: Parameter(argument.annotation, module, default, argument.arg, documented)
        for argument, default in zip([*positional, *arguments.kwonlyargs], defaults, strict=True)
    }
    for argument in positional[:skip]:
        del result[argument.arg]
    return Signature(result, arguments.kwarg is not None)


class ExpandAliases(ast.NodeTransformer):
    """Replace the aliases in an annotation by their definitions, and class names by CLASS."""

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
        """Leave a dotted name unchanged."""
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a name by its definition, or by CLASS if it is a class."""
        if node.id in BUILT_IN:
            return node
        located = defined(self.module, node.id)
        if located is None:
            return node
        module, definition = located
        if isinstance(definition, ast.ClassDef):
            return CLASS
        if isinstance(definition, ast.Call):  # a TypeVar may be anything, a NewType has the values of its base type
            new = isinstance(definition.func, ast.Name) and definition.func.id == "NewType"
            return ExpandAliases(module).visit(definition.args[1]) if new else ast.Name("Any")
        return ExpandAliases(module).visit(definition) if isinstance(definition, ast.expr) else node

"""Descriptions of arguments in Google-style docstrings, as the signatures' schemas show them. Imports no torch."""

import ast
import inspect
import re

SECTION = re.compile(r"(Args|Arguments|Parameters):")
ARGUMENT = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: ?\([^)]*\))?: *(.*)")
"""matches `name: description`, `name (type): description` and `mean, std: description`"""


def described(*nodes: ast.AST) -> dict[str, str]:
    """Return name → description for the arguments that the docstrings of classes and functions list.

    Args:
        nodes: definitions; the first one that describes an argument counts. Others may lack a docstring.
    """
    result: dict[str, str] = {}
    for node in nodes:
        text = ast.get_docstring(node) if isinstance(node, ast.ClassDef | ast.FunctionDef) else None
        for name, description in arguments(text or "").items():
            result.setdefault(name, description)
    return result


def arguments(docstring: str) -> dict[str, str]:
    """Return name → first paragraph of the description of each argument in a docstring, on one line."""
    result: dict[str, str] = {}
    lines = inspect.cleandoc(docstring).splitlines()
    start = next((number for number, line in enumerate(lines) if SECTION.fullmatch(line.strip())), len(lines))
    names: list[str] = []
    within, ended = 0, False
    for line in lines[start + 1 :]:
        depth = len(line) - len(line.lstrip())
        if line.strip() and not depth:
            break
        within = within or depth
        if line.strip() and depth <= within:
            match = ARGUMENT.match(line.strip())
            names, ended = match[1].replace("*", "").split(", ") if match else [], False
            result |= dict.fromkeys(names, match[2]) if match else {}
        elif not line.strip():
            ended = True
        elif not ended:
            result |= {name: f"{result[name]} {line.strip()}".strip() for name in names}
    return {name: text for name, text in result.items() if text}


def summary(node: ast.AST) -> str:
    """Return the first line of the docstring of a class or function; empty if it has none."""
    text = ast.get_docstring(node) if isinstance(node, ast.ClassDef | ast.FunctionDef) else None
    return (text or "").partition("\n")[0]

"""Read the YAML files of configs, and explain what is wrong with one."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from scalian_exp.refusal import Refusal


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A YAML loader that reads numbers such as 3e-4 as OmegaConf does; uses the ten times faster C loader if it can."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+"), list("-+0123456789")
)


def text_in(file: Path) -> str:
    """Return the text of a config file.

    Raises:
        Refusal: if it is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(f"{file} is not text in UTF-8; save it with this encoding.") from error


@cache
def mapping_in(text: str, file: Path) -> dict[str, Any]:
    """Parse the text of a config file; empty if it has only comments.

    Raises:
        Refusal: if it is not YAML, or no mapping.
    """
    try:
        value = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise Refusal(explained(error, file)) from error
    if not isinstance(value, dict | None):
        raise Refusal(f"{file} must hold keys with values, such as model: {{…}}, not {value!r:.40}.")
    return value or {}


PACKAGE = re.compile(r"(?:\s*#\s*@.*\n|\s*\n)*?\s*#\s*@package +(\S+)")
"""matches the lines at the top of a config file in which Hydra looks for the place of its keys"""
FOR_PROGRAMS = re.compile(r"#\s*(@package|yaml-language-server:)")
"""matches comments that Hydra or an editor reads, rather than people"""
OLD_NAME = "Old name of "
"""begins the description of a file that stands for an option's former name"""


def package_in(text: str, otherwise: str) -> str:
    """Return the dotted path at which a config file's keys stand in an experiment, empty for its root.

    Args:
        text: of the file.
        otherwise: the path if the file doesn't state one.
    """
    header = PACKAGE.match(text)
    return otherwise if header is None else "" if header[1] == "_global_" else header[1]


def header(text: str) -> list[str]:
    """Return the lines of the comment at the top of a config file that people read, without their #."""
    comment = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return [line[1:] for line in comment if not FOR_PROGRAMS.match(line)]


def is_old_name(text: str) -> bool:
    """Return whether a config file only stands for an option's former name."""
    return any(line.strip().startswith(OLD_NAME) for line in header(text)[:1])


def explained(error: yaml.YAMLError, file: Path | None = None) -> str:
    """Explain a syntax error in a YAML file, with the line to correct.

    Args:
        error: of the parser.
        file: the file; None if the parser has read it itself, and so knows its name.
    """
    mark = None
    if isinstance(error, yaml.MarkedYAMLError):
        begun = str(error.context).startswith(("while scanning a", "while parsing a flow"))  # and never ended
        mark = (begun and error.context_mark) or error.problem_mark
    if not isinstance(error, yaml.MarkedYAMLError) or not mark:
        place = file or getattr(error, "name", None) or "A config file"
        return f"{place} is not YAML: {' '.join(str(error).split())}; correct it."
    problem = error.problem or error.context
    if problem == "could not find expected ':'":
        problem = "a colon is missing after a key"
    return f"{file or mark.name}, line {mark.line + 1}, is not YAML: {problem}; correct it."


def commented(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield dotted path, value and comment of every commented key in a config file; a value of several lines is empty.

    Raises:
        yaml.YAMLError: if it is not YAML.
    """
    lines = text.splitlines()

    def walk(node: yaml.Node | None, path: str) -> Iterator[tuple[str, str, str]]:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            name = f"{path}.{key.value}".lstrip(".")
            short = value.start_mark.line == value.end_mark.line and value.end_mark.line == key.start_mark.line
            end = value.end_mark if short else key.end_mark
            if comment := lines[end.line][end.column :].partition("#")[2].strip():
                yield name, text[value.start_mark.index : value.end_mark.index] if short else "", comment
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                yield from walk(value, name)

    yield from walk(yaml.compose(text, Loader), "")

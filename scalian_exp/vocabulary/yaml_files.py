"""Read the YAML files of configs, and explain what is wrong with one."""

import re
from functools import cache
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
        return f"{file or 'A config file'} is not YAML: {' '.join(str(error).split())}; correct it."
    problem = error.problem or error.context
    if problem == "could not find expected ':'":
        problem = "a colon is missing after a key"
    return f"{file or mark.name}, line {mark.line + 1}, is not YAML: {problem}; correct it."

"""Hydra's override grammar: parse overrides, and quote texts and paths so that they are read as meant. No torch."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf

from scalian_exp.refusal import Refusal

SWEEP_FLAGS = {"-m", "--multirun"}
PATHS = re.compile(r"run|resume|init_from|outputs|sweep\.resume|(.+\.)?(root|judge|dir|dirpath|save_dir|tracking_uri)")
"""keys whose value is a path"""


def read(argument: str) -> Override | None:
    """Parse an override; return None for flags and for what Hydra itself will refuse."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def is_path(key: str) -> bool:
    """Return whether the value of a key is a path."""
    return PATHS.fullmatch(key) is not None


def sweeping(arguments: list[str]) -> bool:
    """Return whether a command line asks for a sweep (-m or --multirun)."""
    return not SWEEP_FLAGS.isdisjoint(arguments)


def quote_texts(arguments: list[str], is_text: Callable[[str], bool] = is_path) -> list[str]:
    """Quote the values of a command line that are texts, such as paths, so that Hydra reads them as meant.

    Args:
        arguments: the command line's arguments.
        is_text: key → whether its value is a text; other values are left unchanged.

    Raises:
        Refusal: if a path is empty; it would mean the current directory.
    """
    several = sweeping(arguments)
    result = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        name = key.lstrip("+")
        if equals and is_path(name) and not value.strip():
            raise Refusal(f"{name}= has no path after it; give one (. is this folder), or leave {name}= out.")
        result.append(f"{key}={as_text(value, several)}" if equals and is_text(name) else argument)
    return result


def as_text(value: str, several: bool) -> str:
    """Write a value so that Hydra reads it as a text.

    It is quoted if Hydra would read a number or a list, or fail. Existing quotes and escapes keep their meaning, and so
    do null and ${…}; ~ becomes the home directory.

    Args:
        value: the value as typed on the command line.
        several: whether a,b may be two texts, as in a sweep.
    """
    override = read(f"text={value}")
    if override is None:
        parts = value.split(",") if several else []
        if len(parts) > 1 and all(Path(expand_home(part)).exists() for part in parts):
            return ",".join(as_text(part, several=False) for part in parts)
        return quoted(expand_home(value))
    given: Any = override.value()
    if override.is_sweep_override():
        if not several:
            return quoted(expand_home(value))
        simple = isinstance(given, ChoiceSweep) and given.simple_form
        return ",".join(as_text(each, several=False) for each in override.sweep_string_iterator()) if simple else value
    if isinstance(given, str):
        return value if given == expand_home(given) else quoted(expand_home(given))
    return value if given is None else quoted(value)


def expand_home(path: str) -> str:
    """Replace a leading ~ or ~user of a path by that home directory, if there is one."""
    return os.path.expanduser(path)  # noqa: PTH111  (pathlib's raises RuntimeError for an unknown user)


def quoted(text: str) -> str:
    """Put a text in Hydra's quotes."""
    return QuotedString(text, Quote.single if '"' in text else Quote.double).with_quotes()


def literal(text: str) -> str:
    """Write a text as a value for Hydra, quoted where necessary, and with ${ escaped."""
    override = read(f"text={text}")
    if override and not override.is_sweep_override() and override.value() == text and "${" not in text:
        return text
    return quoted(re.sub(r"(\\*)\$\{", lambda match: 2 * match[1] + r"\${", text))


def text_of(argument: str) -> str:
    """Return the value of an override as text, without quotes and escapes.

    Raises:
        HydraException: if Hydra can't read it.
    """
    value = OverridesParser.create().parse_override(argument).value()
    return str(OmegaConf.create({"text": value})["text"])

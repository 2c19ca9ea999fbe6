"""The arguments of scalian-apply: its own, and those of the chosen action."""

import sys
from difflib import get_close_matches
from functools import cache

from omegaconf import DictConfig

from scalian_exp.vocabulary.annotations import expected
from scalian_exp.vocabulary.checks import RESERVED
from scalian_exp.vocabulary.grammar import as_text, quoted, read
from scalian_exp.vocabulary.options import documented, files, options
from scalian_exp.vocabulary.signatures import signature
from scalian_exp.vocabulary.yaml_files import header, text_in

OWN = ("run", "device", "trust", "dataset", "action")
"""arguments of the command itself; all others belong to the action"""


def as_override(argument: str, several: bool) -> str:
    """Write an action's argument as Hydra needs it: `text=…` as `action.text=…`, in quotes where necessary.

    Quotes are added to values that Hydra can't read, would take for a sweep, or for a number in place of a string.

    Args:
        argument: as typed.
        several: whether the command line is a sweep (-m).
    """
    key, equals, value = argument.partition("=")
    key = key.removeprefix("action.")
    if not equals or not key.isidentifier() or key in OWN:
        return argument
    if key in texts():
        return f"action.{key}={as_text(value, several)}"
    override = read(f"action.{key}={value}")
    readable = override is not None and (several or not override.is_sweep_override())
    return f"action.{key}={value if readable else quoted(value)}"


@cache
def texts() -> set[str]:
    """Return the names of all actions' arguments that are strings, such as file names."""
    names = set()
    for node in options("action").values():
        takes = signature(node["_target_"])
        for name, parameter in takes.parameters.items() if takes else ():
            if parameter.annotation and not expected("any", parameter.annotation) and expected(0, parameter.annotation):
                names.add(name)
    return names


def unknown_argument(key: str, root: DictConfig) -> str:
    """Explain that an action has no such argument, and which ones it has."""
    known = [name for name, node in options("action").items() if node["_target_"] == root.action["_target_"]]
    chosen = [o.value() for o in map(read, sys.argv[1:]) if o and o.key_or_group == "action" and o.value() in known]
    name = [*known, *chosen][-1 if chosen else 0]  # several may share a class
    own = [str(argument) for argument in root.action if argument not in RESERVED]
    argument = key.removeprefix("action.")
    close = get_close_matches(argument, [*own, "run", "device", "trust", "dataset.root"], n=1, cutoff=0.7)
    advice = f"did you mean {close[0]}? " if close else ""
    takes = f"action={name} takes {', '.join(own) or 'nothing'}, beside run, device, dataset.root and trust"
    return f"There is no {argument} here; {advice}{takes}."


def arguments_of_actions() -> str:
    """Return the list of all actions for --help, with their arguments, defaults and descriptions."""
    lines = []
    for name, file in files("action").items():
        lines.append(f"action={name}".ljust(28) + "".join(header(text_in(file))[:1]).strip())
        for key, default, comment in documented(file, "action"):
            if key not in RESERVED:
                lines.append(f"    {key}={default}".ljust(27) + " " + comment)
    return "\n".join(lines)

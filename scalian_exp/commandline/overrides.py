"""The overrides of a command line, judged and put in order before Hydra sees them."""

import re
from collections.abc import Iterable
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.grammar import quoted, read
from scalian_exp.vocabulary.options import files

OF_OPTIONS = re.compile("(model|dataset|loss|callbacks)[./]")
"""begins what only some options of a group have"""
SINGLE = {"model", "dataset", "loss", "trainer", "action"}
"""groups of which an experiment takes one option, never a list"""


def check_options(arguments: list[str]) -> None:
    """
    Raises:
        Refusal: if a group's option is no name: Hydra would end in a trace, or take it for something else.
    """
    for override in filter(None, map(read, arguments)):
        group = override.key_or_group
        if not group:
            raise Refusal(f"{override.input_line} has no word before its =; an override is word=option.")
        if override.is_sweep_override() or override.is_delete():
            continue
        value: Any = override.value()
        if group in SINGLE and isinstance(value, list):
            one = ",".join(map(str, value))
            advice = f"say {group}={one}" if len(value) == 1 else f"to try one after the other say -m {group}={one}"
            raise Refusal(f"{override.input_line}: an experiment has one {group}; {advice}.")
        if isinstance(value, list | dict) or (isinstance(value, str) and value):
            continue  # before the options, whose files take a while to read
        if known := files(group):
            told = f"{group}={override.get_value_element_as_str()} is none of {', '.join(known)}"
            raise Refusal(f"{told}; say one, or leave the word out.")


def check_sweeps(overrides: Iterable[str]) -> None:
    """
    Raises:
        Refusal: if a sweep has no value, so that there would be no job. An interval is the sweeper's to judge.
    """
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    for override in parser.parse_overrides(list(overrides)):
        if not override.is_discrete_sweep():
            continue
        try:
            first = next(iter(override.sweep_string_iterator()), None)
        except (ValueError, HydraException) as error:
            raise Refusal(f"{override.input_line} can't be swept over: {error}.") from error
        if first is None:
            known = files(override.key_or_group)
            there = f"; there are {', '.join(known)}" if known else ""
            raise Refusal(f"{override.input_line} stands for no value at all, so nothing would be done{there}.")


def each_for_its_job(arguments: list[str]) -> list[str]:
    """A sweep over options, as model=unet,fastfcn, with `a.b=1` as `a.b=choice(1)`.

    Hydra first composes what isn't swept over, with the default model; it would refuse a key that only those of the
    sweep have.
    """
    said = {argument: override for argument in arguments if (override := read(argument))}
    if not any(override.is_sweep_override() and files(override.key_or_group) for override in said.values()):
        return arguments
    plain = {o.input_line for o in said.values() if o.type == OverrideType.CHANGE and not o.is_sweep_override()}
    return [one_valued(said[a]) if a in plain and OF_OPTIONS.match(a) else a for a in arguments]


def one_valued(said: Override) -> str:
    """The sweep by which a job gets just what `key=value` means; the same words where Hydra can't say it."""
    argument = str(said.input_line)
    key, _, value = argument.partition("=")
    for sweep in (f"{key}=choice({value})", f"{key}=choice({quoted(value)})"):  # quotes are lost on the way to a job
        if override := read(sweep):
            (given,) = override.sweep_string_iterator()
            if (job := read(f"{key}={given}")) and repr(job.value()) == repr(said.value()):
                return sweep
    return argument

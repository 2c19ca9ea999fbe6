"""Check and rewrite the overrides of a command line before Hydra sees them."""

import re
from collections.abc import Iterable
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.config_folders import SEARCHPATH, searchpath
from scalian_exp.vocabulary.grammar import quoted, read
from scalian_exp.vocabulary.options import files

OF_OPTIONS = re.compile("(model|dataset|loss|callbacks)[./]")
"""matches the beginning of keys that only some options of a group have"""
SINGLE = {"model", "dataset", "loss", "trainer", "action"}
"""groups of which an experiment has exactly one option, never a list"""


def check_flags(arguments: list[str]) -> None:
    """Refuse flags of Hydra that do nothing, or end with a traceback, on their own.

    Raises:
        Refusal: if there is one.
    """
    flags = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}

    def given(flag: str, *short: str) -> bool:
        """Return whether a flag is among the arguments, perhaps abbreviated as argparse allows."""
        return any(each in short or (len(each) > 4 and flag.startswith(each)) for each in flags)

    if given("--experimental-rerun"):
        raise Refusal("--experimental-rerun would unpickle a file, which can run any code; use resume=RUN instead.")
    if given("--resolve") and not given("--cfg", "-c"):
        raise Refusal("--resolve shows values in place of ${…}, but only with --cfg: write --cfg job --resolve.")
    shells = [argument for argument in arguments if argument.startswith(("install=", "uninstall=", "query="))]
    if given("--shell-completion", "-sc") and not shells:
        raise Refusal("--shell-completion: say for which shell, --shell-completion install=bash (or zsh, or fish).")


def check_searchpath(arguments: list[str]) -> None:
    """Refuse folders of configs that don't exist, about which Hydra merely warns.

    Raises:
        Refusal: if there is one.
    """
    for folder in searchpath(arguments):
        if not folder.is_dir():
            raise Refusal(f"{SEARCHPATH}: there is no folder {folder.absolute()}; correct its path.")


def check_options(arguments: list[str]) -> None:
    """Refuse options of groups that aren't names, which Hydra would misunderstand or end with a traceback.

    Raises:
        Refusal: if there is one.
    """
    for override in filter(None, map(read, arguments)):
        group = override.key_or_group
        if not group:
            raise Refusal(f"{override.input_line} has nothing before its =; an override is group=option.")
        if override.is_sweep_override() or override.is_delete():
            continue
        value: Any = override.value()
        if group in SINGLE and isinstance(value, list):
            one = ",".join(map(str, value))
            advice = f"write {group}={one}" if len(value) == 1 else f"to try each of them, write -m {group}={one}"
            raise Refusal(f"{override.input_line}: an experiment has one {group}; {advice}.")
        if isinstance(value, list | dict) or (isinstance(value, str) and value):
            continue  # before the options, whose files take a while to read
        if known := files(group):
            problem = f"{group}={override.get_value_element_as_str()} is none of {', '.join(known)}"
            raise Refusal(f"{problem}; choose one, or leave {group} out.")


def check_sweeps(overrides: Iterable[str]) -> None:
    """Refuse sweeps over no value at all, of which there would be no job; intervals are checked by the sweeper.

    Raises:
        Refusal: if there is one.
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
            raise Refusal(f"{override.input_line} matches no value at all, so nothing would be done{there}.")


def as_sweeps_of_one(arguments: list[str]) -> list[str]:
    """Return the overrides of a sweep over options, such as model=unet,fastfcn, with `a.b=1` as `a.b=choice(1)`.

    Hydra first composes what isn't swept, with the default model, and would refuse a key that only the models of the
    sweep have.
    """
    parsed = {argument: override for argument in arguments if (override := read(argument))}
    if not any(override.is_sweep_override() and files(override.key_or_group) for override in parsed.values()):
        return arguments
    values = {o.input_line for o in parsed.values() if o.type == OverrideType.CHANGE and not o.is_sweep_override()}
    return [one_valued(parsed[a]) if a in values and OF_OPTIONS.match(a) else a for a in arguments]


def one_valued(single: Override) -> str:
    """Write `key=value` as a sweep over this one value; return it unchanged if Hydra has no way to write that."""
    argument = str(single.input_line)
    key, _, value = argument.partition("=")
    for sweep in (f"{key}=choice({value})", f"{key}=choice({quoted(value)})"):  # quotes are lost on the way to a job
        if override := read(sweep):
            (given,) = override.sweep_string_iterator()
            if (job := read(f"{key}={given}")) and repr(job.value()) == repr(single.value()):
                return sweep
    return argument

"""Check the overrides stored in a sweep's folder, which could do harm if the folder comes from someone else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override, ValueType

from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.folders import leads_out
from scalian_exp.refusal import Refusal
from scalian_exp.sweep.job_folders import SHARED
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.grammar import read
from scalian_exp.vocabulary.moved import current_config
from scalian_exp.vocabulary.nodes import targets, texts

HYDRAS_GROUPS = {"hydra/launcher", "hydra/sweeper", "hydra/sweeper/sampler"}
HYDRAS_TEXTS = {"hydra.sweeper.direction", "hydra.sweeper.study_name", "hydra.launcher.partition"}
"""keys whose values may be strings; others could be shell commands of a launcher, logging handlers, config folders"""
TARGET = "._target_"


def check_overrides(folder: Path, task: list[str], hydras: list[str], trust: list[str]) -> None:
    """Check the overrides stored in a sweep's folder before any of them is composed.

    Args:
        folder: the sweep's folder.
        task: overrides of the experiment, unless the user has repeated them.
        hydras: overrides of Hydra that the user hasn't repeated.
        trust: the user's `trust=…`, if there is one.

    Raises:
        Refusal: if one of them could run other code, read the environment, or write elsewhere.
    """
    trusted = read(trust[0]) if trust else None
    packages = None if trusted is None else trusted.value()
    for override in [*hydras, *task]:
        reason = objection_to_hydras(override) if override in hydras else objection_to(override, folder, packages)
        if reason:
            more = [*overrides_to_repeat(folder, task, hydras, packages), *trust]
            raise Refusal(
                f"The sweep in {folder} was started with {override}, and {reason}; if the sweep is yours, repeat it: "
                f"{command_to_resume(folder, 'sweep.resume', more)}"
            )


def overrides_to_repeat(folder: Path, task: list[str], hydras: list[str], trust: Any = None) -> list[str]:
    """Return the overrides of a sweep that the user has to repeat, because a file alone may not decide them."""
    repeated = [override for override in hydras if objection_to_hydras(override)]
    harmful = any(objection_to(override, folder, trust) for override in task)
    return [*repeated, *(["-m", *task] if harmful else [])]


def objection_to_hydras(argument: str) -> str:
    """Explain why an override of Hydra may not come from an untrusted file; return an empty string if it may."""
    override = read(argument)
    if override is not None:
        key, values = override.key_or_group, [] if override.is_delete() else values_of(override)
        if key == SHARED and "${" not in argument:
            return ""
        named = key in HYDRAS_GROUPS or key in HYDRAS_TEXTS
        if all(re.fullmatch(r"[\w-]+", str(value)) if named else is_number(value) for value in values):
            return ""
    return "that could run any code"


def objection_to(argument: str, folder: Path, trust: Any) -> str:
    """Explain why an experiment's override may not come from an untrusted file; return an empty string if it may."""
    from scalian_exp.trust import WRITING, modules, objection_to_target  # which import torch

    override = read(argument)
    if override is None:
        return "that can't be read"
    if re.search(r"\$\{[^}]*:", argument):
        return "that reads the environment or other resolvers"
    if override.is_delete():
        return ""
    key = override.key_or_group
    if ".." in key.split("/") or ((CONFIGS / key).is_dir() and "/" in str(argument.partition("=")[2])):
        return "that takes a config from another folder"
    for value in values_of(override):
        nodes = [(key.removesuffix(TARGET), {"_target_": value})] if key.endswith(TARGET) else [*targets(key, value)]
        for path, node in nodes:
            if objection := objection_to_target(path, current_config(node)["_target_"], modules(trust)):
                return f"that {objection.reason.rstrip('.')}"
        for path, text in texts(key, value) if key.partition(".")[0] in WRITING else ():
            if not path.endswith(".judge") and leads_out(path, text, folder):
                return "its jobs would write outside the sweep's folder"
    return ""


def is_number(value: Any) -> bool:
    """Return whether a value is a number, true, false or null."""
    return value is None or isinstance(value, bool | int | float)


def values_of(override: Override) -> Iterator[Any]:
    """Yield the value of an override, or all values of a sweep.

    Intervals and globs yield none, as they contain only numbers or this package's own options.
    """
    if override.is_interval_sweep() or override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        return
    if not override.is_sweep_override():
        yield without_parser_types(override.value())
        return
    for text in override.sweep_string_iterator():
        given = read(f"{override.key_or_group}={text}")
        yield text if given is None or given.is_sweep_override() else without_parser_types(given.value())


def without_parser_types(value: Any) -> Any:
    """Return a value with the parser's own kinds of strings turned into plain ones."""
    return value if is_number(value) or isinstance(value, list | dict) else str(value)

"""The overrides that a sweep's folder keeps: which of them a stranger could do harm by."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override, ValueType

from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.folders import leads_out
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.grammar import read
from scalian_exp.vocabulary.nodes import targets, texts
from scalian_exp.vocabulary.options import CONFIGS

HYDRAS_GROUPS = {"hydra/launcher", "hydra/sweeper", "hydra/sweeper/sampler"}
HYDRAS_TEXTS = {"hydra.sweeper.direction", "hydra.sweeper.study_name", "hydra.launcher.partition"}
"""what may be a text; other texts may be a launcher's shell commands, a logging handler, a folder of configs"""
TARGET = "._target_"


def check_overrides(folder: Path, task: list[str], hydras: list[str], trust: list[str]) -> None:
    """Judge what a sweep's folder says, before any of it is composed.

    Args:
        task: the overrides of the experiment, unless the user has repeated them.
        hydras: those of Hydra that the user hasn't repeated.
        trust: the user's `trust=…`, if there is one.

    Raises:
        Refusal: if one of them could run other code, read the environment, or write elsewhere.
    """
    trusted = read(trust[0]) if trust else None
    packages = None if trusted is None else trusted.value()
    for said in [*hydras, *task]:
        reason = objection_to_hydras(said) if said in hydras else objection_to(said, folder, packages)
        if reason:
            more = [*to_be_repeated(folder, task, hydras, packages), *trust]
            raise Refusal(
                f"The sweep in {folder} was started with {said}, and {reason}; if the sweep is yours, say so again: "
                f"{command_to_resume(folder, 'sweep.resume', more)}"
            )


def to_be_repeated(folder: Path, task: list[str], hydras: list[str], trust: Any = None) -> list[str]:
    """What the user has to say again of a sweep's overrides, since nobody else may."""
    repeated = [said for said in hydras if objection_to_hydras(said)]
    return [*repeated, *(["-m", *task] if any(objection_to(said, folder, trust) for said in task) else [])]


def objection_to_hydras(said: str) -> str:
    """Why one of Hydra's own overrides shouldn't be taken from a stranger; nothing if it may be."""
    override = read(said)
    if override is not None:
        key, values = override.key_or_group, [] if override.is_delete() else values_of(override)
        named = key in HYDRAS_GROUPS or key in HYDRAS_TEXTS
        if all(re.fullmatch(r"[\w-]+", str(value)) if named else is_number(value) for value in values):
            return ""
    return "that could run any code"


def objection_to(said: str, folder: Path, trust: Any) -> str:
    """Why an override of an experiment shouldn't be taken from a stranger; nothing if it may be."""
    from scalian_exp.trust import WRITING, modules, objection_to_target  # which import torch

    override = read(said)
    if override is None:
        return "that can't be read"
    if re.search(r"\$\{[^}]*:", said):
        return "that reads the environment or other resolvers"
    if override.is_delete():
        return ""
    key = override.key_or_group
    if ".." in key.split("/") or ((CONFIGS / key).is_dir() and "/" in str(said.partition("=")[2])):
        return "that takes a config from another folder"
    for value in values_of(override):
        nodes = [(key.removesuffix(TARGET), {"_target_": value})] if key.endswith(TARGET) else [*targets(key, value)]
        for path, node in nodes:
            if found := objection_to_target(path, node["_target_"], modules(trust)):
                return f"that {found.reason.rstrip('.')}"
        for path, text in texts(key, value) if key.partition(".")[0] in WRITING else ():
            if not path.endswith(".judge") and leads_out(path, text, folder):
                return "its jobs would write outside of the sweep's folder"
    return ""


def is_number(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def values_of(override: Override) -> Iterator[Any]:
    """The value of an override, or all of a sweep's; none of an interval, which has numbers only, or of a glob, which
    has options of ours."""
    if override.is_interval_sweep() or override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        return
    if not override.is_sweep_override():
        yield plain(override.value())
        return
    for text in override.sweep_string_iterator():
        given = read(f"{override.key_or_group}={text}")
        yield text if given is None or given.is_sweep_override() else plain(given.value())


def plain(value: Any) -> Any:
    """A value without the parser's own kinds of texts."""
    return value if is_number(value) or isinstance(value, list | dict) else str(value)

"""Refuse a sweep before its first job if none of them could use a value, or if all lack an optional package."""

import ast
from collections.abc import Iterator
from itertools import product
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.annotations import as_given, expected
from scalian_exp.vocabulary.checks import ROOT
from scalian_exp.vocabulary.grammar import read
from scalian_exp.vocabulary.options import files
from scalian_exp.vocabulary.packages import check_packages
from scalian_exp.vocabulary.signatures import signature
from scalian_exp.vocabulary.trainer_checks import VALUES

PACKAGES = "optional packages"
"""stands for them among the assignments that may be refused"""


def check_swept_values(config: DictConfig) -> None:
    """Refuse a sweep that gives a key a value which fits it in no job, or all of whose jobs lack an optional package.

    A job that fails by a combination of values, such as a model and a loss, is another matter: the others run.

    Args:
        config: Hydra's config of the sweep.

    Raises:
        Refusal: if it can't be run.
    """
    loader = GlobalHydra.instance().config_loader()
    params = config.hydra.sweeper.get("params") or {}
    given = [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(given)
    fixed = [override for override in overrides if not override.is_sweep_override()]
    swept = [override for override in overrides if override.is_discrete_sweep()]
    choices = [override for override in swept if files(override.key_or_group)]
    values = [override for override in swept if override not in choices]
    shared = [*(str(override.input_line) for override in fixed), *(next(assignments(override)) for override in values)]
    doubtful = {str(override.input_line): "" for override in fixed if not override.is_delete()}
    doubtful |= {assignment: "" for override in values for assignment in assignments(override)}
    doubtful[PACKAGES] = ""
    for options in product(*map(assignments, choices)):
        job = loader.load_sweep_config(config, [*shared, *options])
        problems = {what: lacking(job) if what == PACKAGES else objection(job, what) for what in doubtful}
        doubtful = {what: problem for what, problem in problems.items() if problem}
        if not doubtful:
            return
    raise Refusal(f"{next(iter(doubtful.values()))}; no job has begun.")


def lacking(job: DictConfig) -> str:
    """Return which optional package a job lacks, and how it is installed; "" if it lacks none."""
    plain: Any = OmegaConf.to_container(job, resolve=False)
    try:
        check_packages({group: node for group, node in plain.items() if group != "hydra"})
    except Refusal as refusal:
        return str(refusal).rstrip(".")
    return ""


def assignments(override: Override) -> Iterator[str]:
    """Yield what a sweep's override means in each job, such as seed=0."""
    key = str(override.input_line).partition("=")[0]
    return (f"{key}={value}" for value in override.sweep_string_iterator())


def objection(job: DictConfig, assignment: str) -> str:
    """Return what a value must be to fit its key in a job; "" if it fits, or nothing is known about the key."""
    override = read(assignment)
    assert override is not None
    key, value = override.key_or_group, override.value()
    if isinstance(value, str) and "${" in value:
        return ""
    outer, _, last = key.rpartition(".")
    node = OmegaConf.select(job, outer) if outer else None
    takes = signature(str(node.get("_target_"))) if isinstance(node, DictConfig) else None
    annotation = ast.Constant(ROOT[key]) if key in ROOT else None
    if takes and last in takes.parameters:
        annotation = takes.parameters[last].annotation  # type: ignore[assignment]
    spelt = f"{key.removeprefix('action.')}={override.get_value_element_as_str()}"
    if wanted := expected(value, annotation):
        return f"{spelt}: it must be {wanted}, not {as_given(value)}"
    good, wanted = VALUES.get(last, (lambda _: True, "")) if outer == "trainer" else (lambda _: True, "")
    return "" if good(value) else f"{spelt}: it must be {wanted}"

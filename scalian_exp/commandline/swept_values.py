"""Refuse values that none of a sweep's jobs could use, before the first job."""

import ast
from collections.abc import Iterator
from itertools import product

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.annotations import as_given, expected
from scalian_exp.vocabulary.checks import ROOT
from scalian_exp.vocabulary.grammar import read
from scalian_exp.vocabulary.options import files
from scalian_exp.vocabulary.signatures import signature
from scalian_exp.vocabulary.trainer_checks import VALUES


def check_swept_values(config: DictConfig) -> None:
    """Refuse a sweep over a value that doesn't fit its key in any job.

    A job that fails by a combination of values, such as a model and a loss, is another matter: the others run.

    Args:
        config: Hydra's config of the sweep.

    Raises:
        Refusal: if there is one.
    """
    loader = GlobalHydra.instance().config_loader()
    params = config.hydra.sweeper.get("params") or {}
    given = [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(given)
    swept = [override for override in overrides if override.is_discrete_sweep()]
    values = [override for override in swept if not files(override.key_or_group)]
    if not values:
        return
    fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
    fixed += [next(assignments(override)) for override in values]
    doubtful = {assignment: "" for override in values for assignment in assignments(override)}
    for options in product(*(assignments(override) for override in swept if override not in values)):
        job = loader.load_sweep_config(config, [*fixed, *options])
        problems = {assignment: objection(job, assignment) for assignment in doubtful}
        doubtful = {assignment: problem for assignment, problem in problems.items() if problem}
        if not doubtful:
            return
    assignment, problem = next(iter(doubtful.items()))
    raise Refusal(f"{assignment.lstrip('+').removeprefix('action.')}: {problem}; no job has begun.")


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
    if wanted := expected(value, annotation):
        return f"it must be {wanted}, not {as_given(value)}"
    good, wanted = VALUES.get(last, (lambda _: True, "")) if outer == "trainer" else (lambda _: True, "")
    return "" if good(value) else f"it must be {wanted}"

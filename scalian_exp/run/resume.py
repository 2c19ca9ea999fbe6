"""Resume a run: read its config, apply the overrides that may change, and explain what can't be resumed."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from omegaconf import DictConfig, OmegaConf

from scalian_exp import folders
from scalian_exp.commandline.runs import neighbours, runs_below
from scalian_exp.commandline.shell import command, command_to_resume, word
from scalian_exp.folders import CONFIG, OVERRIDES, STUDY
from scalian_exp.refusal import Refusal
from scalian_exp.stored import read_config, read_hydra, read_overrides
from scalian_exp.vocabulary import natural_schedule
from scalian_exp.vocabulary.checks import check_plain, find_data_at, nearest
from scalian_exp.vocabulary.grammar import quote_texts, text_of
from scalian_exp.vocabulary.nodes import leaf_paths
from scalian_exp.vocabulary.packages import check_packages

CHANGEABLE_GROUPS = ("trainer.", "callbacks.", "logger.")
CHANGEABLE = {"test", "compile", "cuda_graphs"}
"""what may change in a resumed run; not an optimizer's values, as the checkpoint would restore the old ones anyway"""
MISSING = object()
DATASET_ROOT = "dataset.root"
"""where the data lies, which may have been moved"""


def resumed(overrides: list[str]) -> tuple[dict[str, Any], Path]:
    """Return the config and the folder of the run that `resume=RUN` and further overrides resume.

    Raises:
        Refusal: if there is no such run, it names code that isn't trusted, or an override would turn it into another
            experiment.
    """
    spelt = quote_texts(overrides)
    parsed = OverridesParser.create().parse_overrides(spelt)
    folder = Path(text_of(next(argument for argument in spelt if argument.startswith("resume="))))
    config = stored_config(folder, training=True)
    from scalian_exp.trust import check_origin, check_study, modules  # which import torch

    trust = modules(next((override.value() for override in parsed if override.key_or_group == "trust"), None))
    if not folders.can_resume(folder):
        raise Refusal(f"{folder} has no checkpoints/last.ckpt to resume from; start a new run.")
    folders.check_links(folder)
    if (folder.parent / STUDY).exists():
        folders.check_links(folder.parent)
    for override in parsed:
        key = override.key_or_group
        if key in ("resume", "trust", DATASET_ROOT):
            continue
        if override.type != OverrideType.CHANGE or not (key in CHANGEABLE or key.startswith(CHANGEABLE_GROUPS)):
            raise Refusal(
                f"A resumed run stays the same experiment, so it can't take {override.input_line}; start a new run. "
                "What may change are values of trainer, callbacks and logger, such as trainer.max_epochs=…, and "
                "dataset.root, test, compile and cuda_graphs."
            )
        if key not in CHANGEABLE and OmegaConf.select(config, key, default=MISSING) is MISSING:
            raise Refusal(f"The run in {folder} has no {key}; {nearest(key, [*leaf_paths(config)])}")
        OmegaConf.update(config, key, override.value())
    plain: Any = OmegaConf.to_container(config)
    plain.pop("trust", None)
    changed = [override.key_or_group for override in parsed]
    if not natural_schedule.LENGTHS.isdisjoint(changed):
        plain.pop(natural_schedule.KEY, None)
    check_origin(plain, folder / CONFIG, trust, folder=folder, given=changed)
    check_study(folder.parent, trust)
    if trust:
        plain["trust"] = [*trust]
    if moved := [argument for argument in spelt if argument.startswith(f"{DATASET_ROOT}=")]:
        find_data_at(plain["dataset"], text_of(moved[-1]))
    check_packages(plain)
    check_plain(plain)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return plain, folder


def stored_config(folder: Path, training: bool = False) -> DictConfig:
    """Read the resolved config of a run folder.

    Raises:
        Refusal: if the folder holds no run.
    """
    if folders.state(folder) is folders.State.NONE:
        raise Refusal(no_run_in(folder))
    return OmegaConf.create(read_config(folder, training))


def no_run_in(folder: Path) -> str:
    """Explain why a folder holds no run that can be resumed, and what to do instead."""
    if runs := runs_below(folder):
        return (
            f"{folder} is a folder of {len(runs)} runs, not a run; resume one of them; the newest is "
            f"{command_to_resume(runs[0])}"
        )
    if (folder / folders.ERROR).is_file():
        return f"This job failed before its run began; {folder / folders.ERROR} says why."
    if (folder.parent / folders.MULTIRUN).is_file() and (folder / ".hydra").is_dir():
        sweep = command_to_resume(folder.parent, "sweep.resume")
        return f"This job had not begun when its sweep ended; resume the sweep: {sweep}"
    if (folder / OVERRIDES).is_file():
        return f"The run in {folder} was stopped before it began; start it: {command_to_start(folder)}"
    run = next((place for place in folder.parents if folders.state(place) is not folders.State.NONE), None)
    if folder.is_file() and run is not None:
        return f"{folder} is a file; resume a run by its folder: {command_to_resume(run)}"
    return f"{folder} is not a run folder: there is no {folders.CONFIG} in it.{neighbours('resume', folder)}"


def command_to_start(folder: Path) -> str:
    """Return the command that starts the run of a folder again, in this folder."""
    hydra = (read_hydra(folder) or {}).get("overrides", {})
    of_hydra = [str(override) for override in hydra.get("hydra", []) if "hydra.run.dir=" not in str(override)]
    return f"{command('scalian-train', *read_overrides(folder), *of_hydra)} {word('hydra.run.dir', folder)}"

"""Resume a sweep: keep finished jobs, resume interrupted ones, and run failed and missing ones."""

from pathlib import Path
from typing import Any

from scalian_exp.commandline.overrides import as_sweeps_of_one
from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.files import read_text, read_yaml
from scalian_exp.folders import CONFIG, MULTIRUN, OVERRIDES, check_links, multirun, runs_in
from scalian_exp.refusal import Refusal
from scalian_exp.sweep.changes import changes_since, listed
from scalian_exp.sweep.stored_overrides import check_overrides, overrides_to_repeat
from scalian_exp.vocabulary.grammar import literal, quote_texts, read, text_of

FLAGS = ("-m", "--multirun")
KEY = "sweep.resume"
DATASET_ROOT, MOVED = "dataset.root", "hydra.callbacks.jobs.root"
"""the override that says where the data is, and the one that passes its new place on to the jobs without changing the
names of their folders"""
OF_THE_START = ("hydra.mode", "hydra.sweep.dir", "hydra.callbacks.jobs.resume", MOVED)
"""overrides of the first start that are set again when it is resumed"""


def resumed_sweep(arguments: list[str]) -> list[str]:
    """Return the command line that resumes a sweep: that of its start, in the same folder.

    `sweep.resume=SWEEP` is enough. The overrides of the sweep may be repeated, and Hydra's own overrides, such as
    its launcher, may change, as may dataset.root.

    Raises:
        Refusal: if there is no such sweep, or the overrides are those of another one.
    """
    arguments = quote_texts(arguments)
    folder = Path(text_of(next(override for override in arguments if override.startswith(f"{KEY}="))))
    again = [override for override in arguments if not override.startswith((f"{KEY}=", "trust="))]
    again = [override for override in again if override not in FLAGS]
    trust = [override for override in arguments if override.startswith("trust=")]
    task, hydras = started_with(folder)
    check_links(folder)
    new = [override for override in again if key_of(override).startswith("hydra")]
    moved = [override for override in again if key_of(override) == DATASET_ROOT and override not in task]
    before = [override for override in task if moved and key_of(override) == DATASET_ROOT]
    if any(sweeps(override) for override in [*moved, *before]):
        raise Refusal(
            f"The sweep in {folder} varies {DATASET_ROOT}; resume its jobs one by one, with {DATASET_ROOT}=… each."
        )
    own, then = (
        as_sweeps_of_one([override for override in overrides if not (moved and key_of(override) == DATASET_ROOT)])
        for overrides in ([override for override in again if override not in new], task)
    )
    if own and sorted(own) != sorted(then):
        parts = {"only then": sorted({*then} - {*own}), "only now": sorted({*own} - {*then})}
        difference = "; ".join(f"{when}: {' '.join(overrides)}" for when, overrides in parts.items() if overrides)
        raise Refusal(
            f"The sweep in {folder} had other overrides ({difference or 'the same, but repeated'}); start a new sweep "
            f"without {KEY}=…, or resume this one with no other overrides: {command_to_resume(folder, KEY)}"
        )
    changed = {key_of(override) for override in new}
    unchanged = [override for override in hydras if key_of(override) not in {*changed, *OF_THE_START}]
    check_overrides(folder, [] if own else task, unchanged, trust)
    place = f"hydra.sweep.dir={literal(str(folder))}"
    data = [f"{MOVED}={literal(text_of(override))}" for override in moved[-1:]]
    return ["--multirun", *task, *trust, *unchanged, *new, *data, place, "hydra.callbacks.jobs.resume=true"]


def sweeps(argument: str) -> bool:
    """Return whether an override goes over several values."""
    override = read(argument)
    return override is not None and override.is_sweep_override()


def started_with(folder: Path) -> tuple[list[str], list[str]]:
    """Return the overrides with which a sweep was started: those of the experiment and those of Hydra.

    Raises:
        Refusal: if the folder holds no sweep, or one that was started from another directory.
    """
    file = multirun(folder)
    if not file.is_file():
        if (folder / CONFIG).exists():
            raise Refusal(f"{folder} holds a single run, not a sweep; resume it: {command_to_resume(folder)}")
        others = sorted(folder.parent.glob("*/multirun.yaml"))[-3:] if folder.parent.is_dir() else []
        advice = f"; sweeps beside it: {', '.join(str(file.parent) for file in others)}" if others else ""
        raise Refusal(f"{folder} is not a sweep's folder: there is no multirun.yaml in it{advice}.")
    advice = "start a new sweep" if not runs_in(folder) else "resume its jobs one by one, or start a new sweep"
    match read_yaml(file, advice=advice).get("hydra"):
        case {"overrides": {"task": [*task], "hydra": [*hydras]}, "runtime": {"cwd": str(cwd)}}:
            if Path(cwd).exists() and Path(cwd) != Path.cwd():
                raise Refusal(
                    f"The sweep in {folder} was started in {cwd}, where its data is too; resume it from there."
                )
            return [override for override in map(str, task) if key_of(override) != "trust"], [*map(str, hydras)]
    raise Refusal(f"{file} is damaged: it doesn't say how the sweep was started; {advice}.")


def command_to_resume_sweep(folder: Path) -> str:
    """Return the command that resumes a sweep of this user, with all overrides that have to be repeated."""
    if not (folder / MULTIRUN).is_file():
        return command_to_resume(folder, KEY)
    task, hydras = started_with(folder)
    hydras_own = [override for override in hydras if key_of(override) not in OF_THE_START]
    data = [f"{DATASET_ROOT}={literal(text_of(override))}" for override in hydras if key_of(override) == MOVED]
    return command_to_resume(folder, KEY, [*overrides_to_repeat(folder, task, hydras_own), *data])


def key_of(override: str) -> str:
    """Return the key or group of an override."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def check_jobs(sweep: Path, config_name: str, trust: Any = None) -> None:
    """Check that the overrides of a sweep's jobs still compose the configs with which they were started.

    Args:
        sweep: the sweep's folder.
        config_name: name of the primary config.
        trust: third-party packages that the user trusts.

    Raises:
        Refusal: if a config has changed.
    """
    for job in runs_in(sweep):
        if not read_text(job / OVERRIDES):
            continue  # killed while Hydra was rewriting the file, which it now does again
        if changes := changes_since(job, config_name, trust):
            raise Refusal(
                f"The configs have changed since {job} was started: {listed(changes)}. Change "
                "them back to resume the sweep; otherwise resume its jobs one by one, or start a new sweep."
            )

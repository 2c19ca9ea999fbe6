"""Go on with a sweep: finished jobs are kept, interrupted ones go on, failed and missing ones are done."""

import inspect
from pathlib import Path
from typing import Any

import yaml

from scalian_exp.commandline.experiment import with_found
from scalian_exp.commandline.overrides import each_for_its_job
from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.files import read_text, read_yaml
from scalian_exp.folders import CONFIG, MULTIRUN, OVERRIDES, check_links, multirun, runs_in
from scalian_exp.refusal import Refusal
from scalian_exp.stored import read_config, read_overrides
from scalian_exp.sweep.stored_overrides import check_overrides, to_be_repeated
from scalian_exp.vocabulary.checks import resolved
from scalian_exp.vocabulary.grammar import literal, read, spelled, text_of

FLAGS = ("-m", "--multirun")
KEY = "sweep.resume"
ROOT, MOVED = "dataset.root", "hydra.callbacks.jobs.root"
"""where the data lies, and how its new place is told to the jobs: their folders are named after their own overrides"""
OF_THE_START = ("hydra.mode", "hydra.sweep.dir", "hydra.callbacks.jobs.resume", MOVED)
"""what the first start said that this one says anew"""
SHOWN = 5
"""differences in a sentence"""


def resumed_sweep(arguments: list[str]) -> list[str]:
    """The command line that goes on with a sweep: that of its start, in the same folder. `sweep.resume=<folder>` is
    enough; the sweep may be said again, and hydra's own words, such as its launcher, may change, as may dataset.root.

    Raises:
        Refusal: if there is no such sweep, or another one is said.
    """
    arguments = spelled(arguments)
    folder = Path(text_of(next(said for said in arguments if said.startswith(f"{KEY}="))))
    again = [said for said in arguments if not said.startswith((f"{KEY}=", "trust=")) and said not in FLAGS]
    trust = [said for said in arguments if said.startswith("trust=")]
    task, hydras = started_with(folder)
    check_links(folder)
    new = [said for said in again if key_of(said).startswith("hydra")]
    moved = [said for said in again if key_of(said) == ROOT and said not in task]
    if any(sweeps(said) for said in [*moved, *(said for said in task if moved and key_of(said) == ROOT)]):
        raise Refusal(f"The sweep in {folder} goes over {ROOT}; resume its jobs one by one, with {ROOT}=… each.")
    own, then = (
        each_for_its_job([said for said in words if not (moved and key_of(said) == ROOT)])
        for words in ([said for said in again if said not in new], task)
    )
    if own and sorted(own) != sorted(then):
        parts = {"only then": sorted({*then} - {*own}), "only now": sorted({*own} - {*then})}
        told = "; ".join(f"{when}: {' '.join(said)}" for when, said in parts.items() if said)
        raise Refusal(
            f"The sweep in {folder} was another one ({told or 'the same words, but more often'}); start a "
            f"new one without {KEY}=…, or go on with it by this alone: {command_to_resume(folder, KEY)}"
        )
    changed = {key_of(said) for said in new}
    kept = [said for said in hydras if key_of(said) not in {*changed, *OF_THE_START}]
    check_overrides(folder, [] if own else task, kept, trust)
    place = f"hydra.sweep.dir={literal(str(folder))}"
    data = [f"{MOVED}={literal(text_of(said))}" for said in moved[-1:]]
    return ["--multirun", *task, *trust, *kept, *new, *data, place, "hydra.callbacks.jobs.resume=true"]


def sweeps(said: str) -> bool:
    override = read(said)
    return override is not None and override.is_sweep_override()


def started_with(folder: Path) -> tuple[list[str], list[str]]:
    """The overrides that a sweep was started with: of the experiment, and of Hydra.

    Raises:
        Refusal: if the folder is no sweep's, or one started from another directory.
    """
    file = multirun(folder)
    if not file.is_file():
        if (folder / CONFIG).exists():
            raise Refusal(f"{folder} holds a single run, not a sweep; go on with it: {command_to_resume(folder)}")
        others = sorted(folder.parent.glob("*/multirun.yaml"))[-3:] if folder.parent.is_dir() else []
        advice = f"; sweeps beside it: {', '.join(str(file.parent) for file in others)}" if others else ""
        raise Refusal(f"{folder} is no folder of a sweep: there is no multirun.yaml in it{advice}.")
    advice = "start a new sweep" if not runs_in(folder) else "resume its jobs one by one, or start a new sweep"
    match read_yaml(file, advice=advice).get("hydra"):
        case {"overrides": {"task": [*task], "hydra": [*hydras]}, "runtime": {"cwd": str(cwd)}}:
            if Path(cwd).exists() and Path(cwd) != Path.cwd():
                raise Refusal(
                    f"The sweep in {folder} was started in {cwd}, where its data lies too; go on with it from there."
                )
            return [said for said in map(str, task) if key_of(said) != "trust"], [*map(str, hydras)]
    raise Refusal(f"{file} is damaged: it doesn't tell how the sweep was started; {advice}.")


def command_to_go_on(folder: Path) -> str:
    """The command that goes on with a sweep of this user's, with all that has to be said again."""
    if not (folder / MULTIRUN).is_file():
        return command_to_resume(folder, KEY)
    task, hydras = started_with(folder)
    kept = [said for said in hydras if key_of(said) not in OF_THE_START]
    data = [f"{ROOT}={literal(text_of(said))}" for said in hydras if key_of(said) == MOVED]
    return command_to_resume(folder, KEY, [*to_be_repeated(folder, task, kept), *data])


def key_of(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def check_jobs(sweep: Path, config_name: str, trust: Any = None) -> None:
    """Compare what each job of a sweep was with what its overrides mean now.

    Args:
        trust: packages of others that the user trusts.

    Raises:
        Refusal: if a config has changed since.
    """
    from hydra import compose

    from scalian_exp.trust import modules, objection_to_target

    for job in runs_in(sweep):
        if not read_text(job / OVERRIDES):
            continue  # killed when Hydra was about to write it anew, and now it does
        composed = compose(config_name, read_overrides(job))
        now = resolved(composed)
        if objection_to_target("dataset", now["dataset"]["_target_"], modules(trust)) is None:  # asks its class
            now = with_found(composed, now)
        now.pop("trust", None)  # no run keeps what is trusted
        before = in_todays_words(read_config(job, training=True), now)
        if "root" in now["dataset"] and "root" in before["dataset"]:
            before["dataset"]["root"] = now["dataset"]["root"]  # data may be moved
        if changes := differences(before, now):
            more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
            raise Refusal(
                f"The configs have changed since {job} was started: {'; '.join(changes[:SHOWN])}{more}. Change "
                "them back to go on; else resume its jobs one by one, or start a new sweep."
            )


def in_todays_words(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What a run was, with what its version's configs couldn't say yet.

    Loggers and callbacks that only save may be others now: the training is the same.
    """
    then, callbacks = before["callbacks"], now["callbacks"]
    saving = {name: callbacks[name] for name in callbacks.keys() - then.keys() if saves(callbacks[name])}
    told: dict[str, Any] = with_unsaid({**before, "callbacks": then | saving, "logger": now["logger"]}, now)
    return told


def saves(callback: dict[str, Any] | None) -> bool:
    from pytorch_lightning.callbacks import Checkpoint

    target = class_of(callback)
    return isinstance(target, type) and issubclass(target, Checkpoint)


def with_unsaid(before: Any, now: Any) -> Any:
    """A config with the arguments that only today's states, as they were: what the class says that configs of earlier
    versions implied, else its default."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [with_unsaid(*pair) for pair in zip(before, now, strict=True)]
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return before
    from scalian_exp.checkpoint import Implies

    unsaid: dict[str, Any] = {}
    if (new := now.keys() - before.keys()) and before.get("_target_") == now.get("_target_"):
        target = class_of(now)
        takes = inspect.signature(target).parameters if target else {}
        meant = {name: takes[name].default for name in new & takes.keys()}
        meant |= target.implied if isinstance(target, Implies) else {}
        unsaid = {
            name: now[name] if equal(value, now[name]) else value
            for name, value in meant.items()
            if name in new and value is not inspect.Parameter.empty
        }
    return unsaid | {key: with_unsaid(value, now.get(key)) for key, value in before.items()}


def equal(default: Any, value: Any) -> bool:
    """Is a default of a signature, such as 0 or (0.9, 0.999), what a config states as 0.0 or [0.9, 0.999]?"""
    return bool((list(default) if isinstance(default, tuple) else default) == value)


def class_of(node: dict[str, Any] | None) -> Any:
    """The target of a node, if it is ours or an optimizer of torch: a stranger's folder may name anything."""
    from scalian_exp.build import located

    target = str((node or {}).get("_target_"))
    return located(target) if target.startswith(("scalian_exp.", "torch.optim.")) else None


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """`key: value → value` for each leaf that is not the same in two nested dictionaries."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if yaml.safe_dump(before) == yaml.safe_dump(after) else [f"{path}: {before} → {after}"]
    absent = "nothing"
    return [
        change
        for key in {**before, **after}
        for change in differences(before.get(key, absent), after.get(key, absent), f"{path}.{key}".lstrip("."))
    ]

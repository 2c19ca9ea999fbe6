"""Refuse parts of an experiment that don't fit together before torch is imported.

What fits is stated in the configs: a model names the task that trains it and what it needs of the data (`fits.task`,
`fits.needs`), a loss the tasks that it can train (`fits.tasks`, `fits.needs`), a data set what it `provides`.
"""

from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, ListConfig

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.needs import in_words
from scalian_exp.vocabulary.options import choices_of, fitting, options

GROUPS = ("model", "dataset", "loss", "trainer", "callbacks", "logger")
NEEDED = (*GROUPS, "seed", "test", "compile")
"""keys that every experiment must have"""


def check_parts(config: DictConfig) -> None:
    """Check that an experiment has all its parts, and that model, loss and dataset fit together.

    Raises:
        Refusal: if they don't; the message names options that would.
    """
    if missing := [name for name in NEEDED if name not in config]:
        raise Refusal(f"An experiment needs {missing[0]}=…: leave ~{missing[0]} out, or choose another.")
    chosen = choices_of(config)
    needed = {group: stated(config, f"{group}.fits.needs") for group in ("model", "loss")}
    provides, tasks = stated(config, "dataset.provides"), stated(config, "loss.fits.tasks")
    for group in (*GROUPS, "experiment", "sweep"):
        inner = GROUPS if group in ("experiment", "sweep") else (group,)
        node = config.get(group)
        if misplaced := [key for key in inner if isinstance(node, DictConfig) and key in node]:
            raise Refusal(without_header(group, misplaced[0]))
    task = (config.model.get("fits") or {}).get("task")
    if not task or not tasks:
        group, example = (
            ("loss", "tasks: [reconstruction]") if task else ("model", "task: reconstruction, needs: [images]")
        )
        raise Refusal(f"{group}={chosen[group]} doesn't state what it fits; add to its file: fits: {{ {example} }}.")
    if task not in (known := sorted({*tasks, *tasks_of_losses()})):
        close = get_close_matches(task, known, n=1)
        advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
        raise Refusal(f"model={chosen['model']} has fits.task: {task}, a task that no loss is for; {advice}")
    if task not in tasks:
        suitable = fitting("loss", lambda node: task in node.get("fits", {}).get("tasks", []))
        raise Refusal(
            f"loss={chosen['loss']} can't train model={chosen['model']}; use {assignments('loss', suitable)}."
        )
    every = {*needed["model"], *needed["loss"]}
    for group, needs in needed.items():
        if missing := [need for need in needs if need not in provides]:
            suitable = fitting("dataset", lambda node: every <= set(node.get("provides", [])))
            raise Refusal(
                f"{group}={chosen[group]} needs {in_words(missing)}, which dataset={chosen['dataset']} doesn't "
                f"provide; use {assignments('dataset', suitable)}."
            )


def without_header(group: str, key: str) -> str:
    """Explain that a key of the root stands inside a group, because an option's file lacks its first line."""
    return (
        f"The key {key} has ended up inside {group}, as {group}.{key}; if a file in a folder {group}/ sets it, the "
        "first line of this file must be # @package _global_"
    )


def tasks_of_losses() -> set[str]:
    """Return the names of all tasks that some loss is for."""
    return {str(task) for node in options("loss").values() for task in node.get("fits", {}).get("tasks", [])}


def stated(config: DictConfig, path: str) -> list[str]:
    """Return the words that a part's config lists at a path, such as `model.fits.needs`; none if it lists nothing.

    Raises:
        Refusal: if something else than a list is there.
    """
    *way, last = path.split(".")
    node: Any = config
    for number, key in enumerate(way):
        node = node.get(key) or {}
        if not isinstance(node, DictConfig | dict):
            raise Refusal(f"{'.'.join(way[: number + 1])} must be a mapping, such as {{{last}: […]}}, not {node!r}.")
    words = node.get(last) or []
    if not isinstance(words, ListConfig | list):
        raise Refusal(f"{path} must be a list, such as [{words}], not {words!r}.")
    return [str(word) for word in words]


def assignments(group: str, names: list[str]) -> str:
    """Write the options of a group that would fit, such as `loss=bce|mse`."""
    return f"{group}={'|'.join(names)}" if names else f"another {group} (none here fits)"

"""List the last runs below outputs/: model, data set, score and age. No torch."""

import time
from pathlib import Path
from typing import Any

from scalian_exp.commandline.runs import OUTPUTS, nothing_below_outputs, runs_below, trained
from scalian_exp.commandline.shell import command, word
from scalian_exp.commandline.terminal import display
from scalian_exp.folders import CONFIG, ERROR, METRICS
from scalian_exp.refusal import Refusal
from scalian_exp.results.rows import cell, headline
from scalian_exp.stored import metrics_of, read_config, read_hydra

LISTED = 10
"""number of runs in the list"""
AGES = ((86400, "day"), (3600, "hour"), (60, "minute"))


def list_runs() -> None:
    """Print the last runs below outputs/, and the command that evaluates the newest.

    Raises:
        Refusal: if there is none.
    """
    runs = runs_below(OUTPUTS)
    if not runs:
        sentence = nothing_below_outputs()
        raise Refusal(sentence[0].upper() + sentence[1:])
    table = [("model", "data set", "score", "begun", "run")]
    table += [(*named(run), score(run), age(run), word("run", run)) for run in runs[:LISTED]]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        display("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if len(runs) > LISTED:
        display(f"… and {len(runs) - LISTED} older ones below {OUTPUTS}/")
    if newest := next(filter(trained, runs), None):
        display(f"\nuse one      {command('scalian-apply')} {word('run', newest)} action=evaluate")
        display(f"actions      {command('scalian-apply', '--help')}")


def named(run: Path) -> tuple[str, str]:
    """Return a run's model and data set: the chosen options, or the classes of a run that Python began."""
    try:
        if record := read_hydra(run):
            choices = record["runtime"]["choices"]
            return str(choices["model"]), str(choices.get("dataset", ""))
        config = read_config(run)
    except Refusal:
        return "(damaged)", ""
    network: Any = config["model"].get("network") or config["model"]
    return class_name(network), class_name(config["dataset"])


def class_name(node: dict[str, Any]) -> str:
    """Return the name of a node's class, without its module."""
    return str(node.get("_target_", "")).rpartition(".")[2]


def score(run: Path) -> str:
    """Return a run's headline metric, and its status if it hasn't finished."""
    try:
        outcome = metrics_of(run) or {"status": "failed" if (run / ERROR).exists() else "unfinished"}
    except Refusal:
        return f"({METRICS} is damaged)"
    best = headline(outcome)
    value = [f"{best[0]} {cell(best[1])}"] if best else []
    return " ".join([*value, *([] if outcome["status"] == "finished" else [f"({outcome['status']})"])])


def age(run: Path) -> str:
    """Return how long ago a run was begun or resumed, in its largest unit."""
    seconds = time.time() - (run / CONFIG).stat().st_mtime
    for unit, name in AGES:
        if (number := int(seconds // unit)) > 0:
            return f"{number} {name}{'s' if number > 1 else ''} ago"
    return "just now"

"""Read the files that runs and sweeps write about themselves, and refuse damaged ones in a sentence. No torch."""

import math
from pathlib import Path
from typing import Any

from scalian_exp.files import read_json, read_yaml
from scalian_exp.folders import CHOICES, CONFIG, METRICS, OVERRIDES
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.checks import check_arguments
from scalian_exp.vocabulary.facts import check_facts
from scalian_exp.vocabulary.moved import current_config, current_path
from scalian_exp.vocabulary.nodes import texts
from scalian_exp.vocabulary.options import inherited

SECTIONS = ("model", "loss", "dataset")
"""parts of a config that have a _target_"""
TYPES_AT_ROOT = {"seed": int, "compile": bool, "channels_last": bool, "test": bool, "trainer": dict, "callbacks": dict}
"""further keys that a training needs, with their types"""
KINDS = {int: "a whole number", bool: "true or false", dict: "a mapping"}
OF_HYDRA = "copy it from another run's .hydra, or leave this run out"


def check_config(config: Any, where: str, advice: str, training: bool = False) -> dict[str, Any]:
    """Check that a stored config has all parts of a run's config, and update renamed classes in it.

    Args:
        config: as read from the file.
        where: the file, which begins the message.
        advice: what to do if something is missing, which ends the message.
        training: whether the run is to be resumed, not just loaded.

    Raises:
        Refusal: if a part is missing or of another type.
    """
    if not isinstance(config, dict):
        raise Refusal(f"{where} is damaged: it is not a config; {advice}.")
    config = current_config(config)
    for name in SECTIONS:
        node = config.get(name)
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            raise Refusal(f"{where} is damaged: its {name} has no _target_; {advice}.")
    for name, kind in TYPES_AT_ROOT.items() if training else ():
        if not isinstance(config.get(name), kind):
            raise Refusal(f"{where} is damaged: its {name} must be {KINDS[kind]}; {advice}.")
    if training and "_target_" not in config["trainer"]:
        raise Refusal(f"{where} is damaged: its trainer must be a mapping with _target_; {advice}.")
    if training and not isinstance(config.get("logger", "missing"), dict | None):
        raise Refusal(f"{where} is damaged: its logger must be a mapping or null; {advice}.")
    return config


def check_buildable(config: dict[str, Any], file: Path, *groups: str) -> None:
    """Check that today's classes accept the arguments in a checkpoint's config.

    Raises:
        Refusal: if an argument is unknown, missing or of the wrong type.
    """
    try:
        check_arguments({group: config[group] for group in groups})
        check_facts(config["dataset"])
    except Refusal as refusal:
        raise Refusal(f"The config in {file} is damaged, or another version wrote it: {refusal}") from refusal


def read_config(folder: Path, training: bool = False) -> dict[str, Any]:
    """Read the resolved config of a run.

    Args:
        folder: the run folder.
        training: whether the run is to be resumed, not just loaded.

    Raises:
        Refusal: if it is missing or damaged.
    """
    file = folder / CONFIG
    advice = "restore it from a copy, or start a new run"
    config = check_config(read_yaml(file, advice=advice), str(file), advice, training)
    if references := [path for path, text in texts("config", config) if "${" in text]:
        raise Refusal(
            f"{file} is damaged: {references[0]} is an interpolation, but a run's config is plain data; {advice}."
        )
    return config


def read_overrides(folder: Path) -> list[str]:
    """Read the overrides that a run was started with.

    Raises:
        Refusal: if they are missing or damaged.
    """
    file = folder / OVERRIDES
    overrides: list[str] = read_yaml(file, list, OF_HYDRA)
    if not all(isinstance(override, str) for override in overrides):
        raise Refusal(f"{file} is damaged: it is not a list of overrides; {OF_HYDRA}.")
    return [current_path(override) for override in overrides]


def read_hydra(folder: Path) -> dict[str, Any] | None:
    """Read what Hydra recorded about a run: `mode`, `runtime.choices` (config group → chosen option) and more.

    Of a group of which a list of options was chosen, such as `callbacks`, it records no choice.

    Returns:
        Hydra's own config, or None if there is no such file.

    Raises:
        Refusal: if the file is damaged.
    """
    file = folder / CHOICES
    if not file.exists() and not file.is_symlink():
        return None
    node = read_yaml(file, advice=OF_HYDRA).get("hydra")
    match node:
        case {"mode": _, "overrides": {"hydra": [*_]}, "runtime": {"choices": {"model": _}}}:
            record: dict[str, Any] = node
            return record
    raise Refusal(f"{file} is damaged: it doesn't say which options were chosen; {OF_HYDRA}.")


def run_name(folder: Path, config: dict[str, Any]) -> str:
    """Name a run by its model and data set, such as "vae on fashion_mnist_sample" or "unet on mask_folder roads"."""
    return " on ".join(model_and_data(folder, config))


def model_and_data(folder: Path, config: dict[str, Any]) -> tuple[str, str]:
    """Return the names of a run's model and data set.

    The names are those that its command line chose; without a record of it, those of the network's and the data set's
    classes. The data set's folder is named too, if the user chose it.
    """
    try:
        choices = (read_hydra(folder) or {"runtime": {"choices": {}}})["runtime"]["choices"]
    except Refusal:  # a damaged record names nothing, but what is drawn needs no more of it
        choices = {}
    network = config["model"].get("network", config["model"])
    model = choices.get("model") or network["_target_"].rpartition(".")[2]
    data = choices.get("dataset")
    if data is None:
        return model, config["dataset"]["_target_"].rpartition(".")[2]
    theirs = inherited(f"dataset/{data}").get("dataset", {}).get("root") == "???"
    return model, data + (f" {Path(config['dataset']['root']).name}" if theirs else "")


def metrics_of(folder: Path) -> dict[str, Any]:
    """Read the metrics.json of a run folder; return an empty dictionary if there is none.

    NaN and infinite values become None: runs write null for them, but other programs may not.

    Raises:
        Refusal: if the file is damaged.
    """
    file, advice = folder / METRICS, "delete it, and resume the run to write it again"
    if not file.exists() and not file.is_symlink():
        return {}
    metrics: dict[str, Any] = read_json(file, dict, advice)
    numeric = all(isinstance(value, int | float | None) for name, value in metrics.items() if name not in STRINGS)
    if not isinstance(metrics.get("status"), str) or not isinstance(metrics.get("monitor", ""), str) or not numeric:
        raise Refusal(f"{file} is damaged: it must contain a status and numbers; {advice}.")
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }


STRINGS = {"status", "monitor"}
"""entries of metrics.json that are strings"""

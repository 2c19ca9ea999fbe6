"""Refuse arguments that nobody takes, and values that can't work, before torch is imported."""

import ast
import shlex
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.annotations import as_given, expected
from scalian_exp.vocabulary.callback_checks import check_callbacks, named_nodes
from scalian_exp.vocabulary.facts import FACTS, check_facts
from scalian_exp.vocabulary.grammar import expand_home
from scalian_exp.vocabulary.moved import current_config
from scalian_exp.vocabulary.nodes import targets
from scalian_exp.vocabulary.optimisation_checks import check_numbers
from scalian_exp.vocabulary.options import may_misspell, options, task_overrides
from scalian_exp.vocabulary.part_checks import NEEDED, without_header
from scalian_exp.vocabulary.signatures import signature
from scalian_exp.vocabulary.trainer_checks import check_trainer

ROOT = {
    "seed": "Seed",
    "compile": "bool",
    "cuda_graphs": "bool",
    "channels_last": "bool | Literal['auto']",
    "test": "bool",
    "outputs": "str",
    "init_from": "str | None",
    "repeats": "Sequence[str]",
    "trust": "str | Sequence[str] | None",
}
"""key at the root of a config → annotation of its values"""
RESERVED = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_", "fits", "provides", "needs"}
OFFERS = {
    "model": {"loss"},
    "callbacks": {"folder", "dirpath", "monitor", "mode", "trust", "announce"},
    "logger": {"save_dir"},
    "trainer": {"callbacks", "logger", "default_root_dir"},
}
"""group → arguments that the framework itself passes to targets that take them"""


def resolved(config: DictConfig) -> dict[str, Any]:
    """Resolve a config to plain data without checking it.

    Raises:
        Refusal: if a value is missing.
    """
    try:
        plain: Any = current_config(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    except MissingMandatoryValue as error:
        raise Refusal(f"{error.full_key} has no value yet; give it: {error.full_key}=…") from error
    except InterpolationKeyError as error:
        reason = str(error.msg).splitlines()[0]
        if "'dataset." in reason:
            raise Refusal(f"{error.full_key} refers to a value that this dataset doesn't have: {reason}.") from error
        raise Refusal(f"{error.full_key} refers to a value that doesn't exist: {reason}; give it a value.") from error
    judges = [(node, "judge") for node in named_nodes(plain, "callbacks").values()]
    for node, key in ((plain["dataset"], "root"), (plain, "init_from"), *judges):
        if isinstance(path := node.get(key), str):
            node[key] = str(Path(expand_home(path)).absolute())  # a run can be used from anywhere
    result: dict[str, Any] = plain
    return result


def find_data_at(dataset: dict[str, Any], root: str) -> None:
    """Make a run's dataset node read from another folder, to which its data has been moved.

    Raises:
        Refusal: if this data set isn't read from a folder.
    """
    if "root" not in dataset:
        kind = dataset["_target_"].rpartition(".")[2]
        raise Refusal(
            f"dataset.root={root}: the data of this run ({kind}) isn't read from a folder; leave dataset.root out."
        )
    dataset["root"] = str(Path(expand_home(root)).absolute())


def check_plain(config: dict[str, Any]) -> None:
    """Check everything that can be judged from a resolved config alone.

    Raises:
        Refusal: if an argument or a value can't work.
    """
    check_root(config)
    check_arguments(config)
    check_facts(config["dataset"])
    check_graphs(config)
    check_callbacks(named_nodes(config, "callbacks"))
    named_nodes(config, "logger")
    optimizer = config["model"].get("optimizer", {})
    check_numbers(optimizer)
    check_trainer(config["trainer"], optimizer, bool(config.get("init_from")))


def check_arguments(config: dict[str, Any]) -> None:
    """Check that every `_target_` takes the arguments that it is given, with values of the right type."""
    for group, node in config.items():
        for path, target in targets(group, node):
            allowed = FACTS if path == "dataset" else set()
            check_target(path, target, allowed, OFFERS.get(group, set()))


def check_root(config: dict[str, Any]) -> None:
    """Check the values at the root of a config, which belong to no group."""
    for name, annotation in ROOT.items():  # a run of an older version may lack one
        if name in config and (wanted := expected(config[name], ast.Constant(annotation))):
            raise Refusal(f"{name} must be {wanted}, not {as_given(config[name])}.")


def check_graphs(config: dict[str, Any]) -> None:
    """Check that CUDA graphs aren't combined with compilation, several processes or accumulated gradients."""
    if not config.get("cuda_graphs"):
        return
    if config.get("compile"):
        raise Refusal("cuda_graphs=true and compile=true both record the network's operations; choose one of them.")
    if "strategy" in config["trainer"]:
        raise Refusal("cuda_graphs=true works in a single process only; leave it out with several.")
    if config["trainer"].get("accumulate_grad_batches") not in (None, 1):
        raise Refusal(
            "cuda_graphs=true can't accumulate gradients over batches; leave trainer.accumulate_grad_batches out."
        )


def check_target(path: str, node: dict[str, Any], allowed: set[str], offered: set[str]) -> None:
    """Check the arguments of one node with a `_target_`."""
    if not isinstance(node["_target_"], str):
        raise Refusal(f"{path}._target_ must be the name of a class, not {node['_target_']!r}.")
    takes = signature(node["_target_"])
    if takes is None:
        return
    unknown = [] if takes.open else [name for name in node if name not in {*takes.parameters, *RESERVED, *allowed}]
    if foreign := [f"{path}.{name}" for name in unknown if set_by(f"{path}.{name}")]:
        raise Refusal(
            f"{set_by(foreign[0])} sets {' and '.join(foreign)}, which {node['_target_']} doesn't take; "
            f"to leave it out, add {' '.join(shlex.quote(f'~{each}') for each in foreign)}"
        )
    for name, value in node.items():
        if name in RESERVED:
            continue
        if name in takes.parameters:
            if wanted := expected(value, takes.parameters[name].annotation):
                advice = f"; give it: dataset.{name}=…" if value is None and name in FACTS else ""
                author = set_by(f"{path}.{name}")
                source = f", which {author} sets" if author else ""
                key = name if path == "action" else f"{path}.{name}"  # as scalian-apply's users write it
                raise Refusal(f"{key} must be {wanted}, not {as_given(value)}{source}{advice}.")
        elif not takes.open and name not in allowed:
            if path in NEEDED and name in NEEDED:
                raise Refusal(without_header(path, name))
            raise Refusal(
                f"{path} ({node['_target_']}) takes no argument '{name}'; {nearest(name, [*takes.parameters])}"
            )
    needed = {name for name, parameter in takes.parameters.items() if parameter.required}
    if not node.get("_partial_") and (missing := needed - node.keys() - offered):
        raise Refusal(
            f"{path} ({node['_target_']}) needs {', '.join(sorted(missing))}; add it: +{path}.{min(missing)}=…"
        )


def set_by(path: str) -> str | None:
    """Return the experiment or sweep whose file sets a value; None if the command line or neither does."""
    if not HydraConfig.initialized():
        return None
    hydra = HydraConfig.get()
    if any(override.key_or_group == path for override in task_overrides()):
        return None
    for group in ("sweep", "experiment"):
        name = hydra.runtime.choices.get(group)
        if name and OmegaConf.select(OmegaConf.create(options(group).get(name, {})), path) is not None:
            return f"{group}={name}"
    return None


def nearest(name: str, known: list[str]) -> str:
    """Return advice for a misspelt argument: the most similar known name, or all of them."""
    possible = [each for each in known if may_misspell(name, each)]
    if close := get_close_matches(name, possible, n=1, cutoff=0.6):
        return f"did you mean '{close[0]}'?"
    return f"it takes {', '.join(known) or 'none'}."

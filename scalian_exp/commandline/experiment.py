"""Compose an experiment from its overrides, complete it from the data set's files, and check it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from scalian_exp.commandline.app import sentence
from scalian_exp.commandline.overrides import check_searchpath
from scalian_exp.commandline.shell import command, word
from scalian_exp.commandline.unknown_keys import unknown_key
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.callback_checks import named_nodes
from scalian_exp.vocabulary.checks import check_plain, resolved
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.encodings import not_text
from scalian_exp.vocabulary.facts import AUTO
from scalian_exp.vocabulary.grammar import quote_texts
from scalian_exp.vocabulary.natural_schedule import with_natural_schedule
from scalian_exp.vocabulary.optimisation_checks import check_optimisation
from scalian_exp.vocabulary.options import close_to, options
from scalian_exp.vocabulary.part_checks import check_parts
from scalian_exp.vocabulary.yaml_files import explained


def composed(*overrides: str) -> DictConfig:
    """Compose a training's config from overrides, in a program that isn't started by Hydra.

    Raises:
        Refusal: if it can't be composed.
    """
    check_searchpath(list(overrides))
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            config = hydra.compose("train", overrides=quote_texts(list(overrides)), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise Refusal(sentence(error, unknown_key)) from error
        except yaml.YAMLError as error:
            raise Refusal(explained(error)) from error
        except UnicodeDecodeError as error:
            raise Refusal(not_text(overrides) or str(error)) from error
    settings = config.hydra
    with read_write(config), open_dict(config):
        del config["hydra"]
    return with_natural_schedule(config, settings)


def checked(config: DictConfig) -> dict[str, Any]:
    """Check a composed config and return it resolved, as plain data.

    Raises:
        Refusal: if the experiment can't work.
    """
    check_parts(config)
    check_optimisation(config)
    plain = with_inferred(config, resolved(config))
    check_plain(plain)
    check_names(plain)
    check_judges(plain["callbacks"], overrides_of_data())
    return plain


def with_inferred(config: DictConfig, plain: dict[str, Any]) -> dict[str, Any]:
    """Return the resolved config with values of the data set that are `auto` read from its files.

    Values of the model that refer to them are updated too.

    Raises:
        Refusal: if the files can't be read.
    """
    inferred = inferred_from_files(plain["dataset"])
    if not inferred:
        return plain
    with open_dict(config):  # some values may be new keys
        merged: Any = OmegaConf.merge(config, {"dataset": inferred})
    return resolved(merged)


def inferred_from_files(dataset: dict[str, Any]) -> dict[str, Any]:
    """Read the values of a data set that are `auto` from its files, and return them by name.

    Raises:
        Refusal: if there is no such class, or its files can't be read.
    """
    if AUTO not in dataset.values():
        return {}
    from scalian_exp.build import located

    infer = getattr(located(dataset["_target_"]), "infer", None)
    return infer(dataset) if callable(infer) else {}


def overrides_of_data() -> list[str]:
    """Return the overrides that choose Hydra's current data set and its values; none outside of Hydra."""
    if not HydraConfig.initialized():
        return []
    hydra = HydraConfig.get()
    values = [
        override for override in hydra.overrides.task if override.lstrip("+").startswith(("dataset.", "dataset/"))
    ]
    return [f"dataset={hydra.runtime.choices['dataset']}", *values]


def check_names(plain: dict[str, Any]) -> None:
    """Refuse callbacks and loggers without a class, which would do nothing, unless some option has one of their name.

    An experiment may set values for parts that are left out, as callbacks=minimal leaves out the figures.

    Raises:
        Refusal: with the name that was probably meant.
    """
    for group in ("callbacks", "logger"):
        nodes = named_nodes(plain, group)
        lacking = [name for name, node in nodes.items() if "_target_" not in node]
        optional = {name for option in options(group).values() for name in option} if lacking else set()
        for name in lacking:
            if name not in optional:
                close = close_to(name, optional | nodes.keys() - {*lacking})
                advice = f"did you mean {group}.{close}?" if close else "name one, or leave it out."
                raise Refusal(f"{group}.{name} has no _target_, the name of a class, so it would do nothing; {advice}")


def check_judges(callbacks: dict[str, Any], data: Sequence[str]) -> None:
    """Refuse a callback whose judge doesn't exist.

    Args:
        callbacks: the nodes of a config's callbacks.
        data: the overrides that choose the data set.

    Raises:
        Refusal: with the command that trains a judge.
    """
    for node in callbacks.values():
        judge = (node or {}).get("judge")
        if data and isinstance(judge, str) and not Path(judge).exists():
            again = f"{command('scalian-train', 'model=classifier', *data)} {word('hydra.run.dir', Path(judge))}"
            raise Refusal(f"There is no judge {judge}; train one first, on the same data set: {again}")

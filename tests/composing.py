"""Let Hydra compose the same choice of options once per process: composing them again took half the time of all tests.

Two functions of Hydra are remembered, both of which depend on the chosen options and their files alone. All other
overrides are applied to a copy each time. Nothing is remembered if the user's own folders are searched too.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import wraps
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from omegaconf import DictConfig

from scalian_exp.vocabulary.options import CONFIGS

PLACES = ("pkg:", "structured:", f"file://{CONFIGS}")
"""beginnings of the places whose files no test changes"""


def unchanging(repo: IConfigRepository) -> bool:
    """Return whether only Hydra's options and those of this package are searched."""
    return all(f"{source.scheme()}://{source.path}".startswith(PLACES) for source in repo.get_sources())


def defaults_once(create: Callable[..., DefaultsList]) -> Callable[..., DefaultsList]:
    """Remember the files that each choice of options leads to."""
    known: dict[Any, DefaultsList] = {}

    @wraps(create)
    def remembered(repo: IConfigRepository, config_name: str, overrides_list: list[Any], **more: bool) -> DefaultsList:
        if not unchanging(repo):
            return create(repo, config_name, overrides_list, **more)
        values = Overrides(repo, overrides_list).config_overrides
        choices = [override.input_line for override in overrides_list if override not in values]
        key = (config_name, *choices, *more.values())
        if key not in known:
            known[key] = create(repo, config_name, overrides_list, **more)
        return replace(known[key], config_overrides=values)

    return remembered


def configs_once(compose: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """Remember the config that a list of files merges to."""
    known: dict[str, DictConfig] = {}

    @wraps(compose)
    def remembered(self: ConfigLoaderImpl, defaults: list[Any], repo: IConfigRepository) -> DictConfig:
        if not unchanging(repo):
            return compose(self, defaults, repo)
        if (key := str(defaults)) not in known:
            known[key] = compose(self, defaults, repo)
        return deepcopy(known[key])

    return remembered


def install() -> None:
    """Replace Hydra's functions for the rest of this process."""
    config_loader_impl.create_defaults_list = defaults_once(config_loader_impl.create_defaults_list)
    loader: Any = ConfigLoaderImpl
    loader._compose_config_from_defaults_list = configs_once(loader._compose_config_from_defaults_list)

"""Let Hydra read and compose the same options once per process: doing so again took half the time of many tests.

Three functions of Hydra are remembered, which depend on the chosen options and their files alone. All other overrides
are applied to a copy each time. Nothing is remembered if a user's own folder, whose files tests change, is searched.
The parsers of overrides and of interpolations, which depend on a text alone, are remembered too.
"""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache, wraps
from typing import Any

from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, _utils, base

from scalian_exp.vocabulary.config_folders import CONFIGS

PLACES = {"pkg://hydra.conf", f"file://{CONFIGS}", "structured://"}
"""places of Hydra's options and of this package's"""


def unchanging(repository: Any) -> bool:
    """Return whether a repository reads only files that no test changes."""
    return {f"{source.scheme()}://{source.path}" for source in repository.get_sources()} == PLACES


def files_once(load: Callable[..., Any]) -> Callable[..., Any]:
    """Remember the contents of each file."""
    known: dict[str, bytes] = {}

    @wraps(load)
    def remembered(self: ConfigRepository, config_path: str) -> Any:
        if not unchanging(self):
            return load(self, config_path)
        if config_path not in known:
            known[config_path] = pickle.dumps(load(self, config_path))
        return pickle.loads(known[config_path])

    return remembered


def defaults_once(create: Callable[..., DefaultsList]) -> Callable[..., DefaultsList]:
    """Remember the files that each choice of options leads to."""
    known: dict[Any, DefaultsList] = {}

    @wraps(create)
    def remembered(repo: Any, config_name: str, overrides_list: list[Any], **more: bool) -> DefaultsList:
        if not unchanging(repo):
            return create(repo, config_name, overrides_list, **more)
        values = Overrides(repo, overrides_list).config_overrides
        key = (config_name, *[each.input_line for each in overrides_list if each not in values], *more.values())
        if key not in known:
            known[key] = create(repo, config_name, overrides_list, **more)
        return replace(known[key], config_overrides=values)

    return remembered


def configs_once(compose: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """Remember the config that a list of files merges to."""
    known: dict[str, bytes] = {}

    @wraps(compose)
    def remembered(self: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> DictConfig:
        if not unchanging(repo):
            return compose(self, defaults, repo)
        if (key := str(defaults)) not in known:
            known[key] = pickle.dumps(compose(self, defaults, repo))
        config: DictConfig = pickle.loads(known[key])
        return config

    return remembered


def choices_if_needed(choices_so_far: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """Leave out what Hydra prepares for defaults lists that refer to other choices, if a list doesn't."""

    @wraps(choices_so_far)
    def when_needed(overrides: Overrides, defaults: list[Any], *more: Any) -> DictConfig:
        refers = any(default.is_interpolation() for default in defaults)
        return choices_so_far(overrides, defaults, *more) if refers else OmegaConf.create()

    return when_needed


def overrides_once(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Remember what each text says."""
    known: dict[tuple[str, str], Any] = {}

    @wraps(parse)
    def remembered(self: OverridesParser, s: str, rule_name: str) -> Any:
        if (s, rule_name) not in known:
            known[s, rule_name] = parse(self, s, rule_name)
        return copy.deepcopy(known[s, rule_name])

    return remembered


REPLACED = [
    (ConfigRepository, "load_config", files_once),
    (config_loader_impl, "create_defaults_list", defaults_once),
    (ConfigLoaderImpl, "_compose_config_from_defaults_list", configs_once),
    (defaults_list, "_create_interpolation_map", choices_if_needed),
    (OverridesParser, "parse_rule", overrides_once),
    (base, "parse", cache),
    (_utils, "parse", cache),
]
"""owner, name and replacement of Hydra's functions; each replacement has the original as `__wrapped__`"""


def install() -> None:
    """Replace Hydra's functions for the rest of this process; none of a Hydra that lacks one of them."""
    for owner, name, _ in REPLACED:
        if not hasattr(owner, name):
            return
    for owner, name, replacement in REPLACED:
        setattr(owner, name, replacement(getattr(owner, name)))

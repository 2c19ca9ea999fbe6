"""The words that can be said: which options a config group has, and what their files say."""

import sys
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from scalian_exp.vocabulary.grammar import read

PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = next(path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if (path / "train.yaml").exists())
"""inside the package in a wheel, beside it in a checkout"""
SEARCHPATH = "hydra.searchpath"


def folders() -> list[Path]:
    """All folders in which Hydra looks for configs: a user's own ones too."""
    if HydraConfig.initialized():
        return [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]
    if not GlobalHydra.instance().is_initialized():
        return [CONFIGS, *searchpath()]
    sources = GlobalHydra.instance().config_loader().get_sources()
    return [*(Path(source.path) for source in sources if source.scheme() == "file"), *searchpath()]


def searchpath() -> list[Path]:
    """The folders that the command line adds: Hydra keeps them to itself until a config is composed."""
    said = next((o.value() for o in map(read, sys.argv[1:]) if o and o.key_or_group == SEARCHPATH), None)
    paths = [str(path).removeprefix("file://") for path in said] if isinstance(said, list) else []
    return [Path(path) for path in paths if "://" not in path]


def files(group: str) -> dict[str, Path]:
    """name → file of all options of a group, sorted by name; of several folders that have one, the first counts."""
    found: dict[str, Path] = {}
    for folder in folders():
        for file in (folder / group).glob("*.yaml"):
            found.setdefault(file.stem, file)
    return dict(sorted(found.items()))


def options(group: str) -> dict[str, dict[str, Any]]:
    """name → what its file says, as it stands there; sorted by name."""
    found: dict[str, dict[str, Any]] = {}
    for name, file in files(group).items():
        node: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        found[name] = node.get(group, node)
    return found


def documented(file: Path, group: str) -> Iterator[tuple[str, str, str]]:
    """Key, default and comment of each line of an option's file; of a default that fills several lines nothing."""
    text = file.read_text(encoding="utf-8")
    lines, root = text.splitlines(), yaml.compose(text, yaml.SafeLoader)
    pairs = list(root.value) if isinstance(root, yaml.MappingNode) else []
    for key, value in next((v.value for k, v in pairs if k.value == group and isinstance(v, yaml.MappingNode)), pairs):
        line, short = key.start_mark.line, value.end_mark.line == key.start_mark.line
        default = text[value.start_mark.index : value.end_mark.index] if short else ""
        rest = lines[line][value.end_mark.column if short else key.end_mark.column + 1 :]
        yield key.value, default, rest.partition("#")[2].strip()


def close_to(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one is most like, if any is; upper and lower case count as the same."""
    folded = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), folded, n=1)
    return folded[close[0]] if close else None


def fitting(group: str, fits: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Names of a group's options of which `fits` is true; those made for tests are left out."""
    return [name for name, node in options(group).items() if fits(node) and not name.startswith("fake")]


def choices_of(config: DictConfig) -> dict[str, str]:
    """group → the chosen option; the group's name itself where Hydra isn't at work."""
    if HydraConfig.initialized():
        return dict(HydraConfig.get().runtime.choices)
    return {str(group): "this one" for group in config}

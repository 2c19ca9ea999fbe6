"""The options of each config group and the contents of their files. Imports no torch."""

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.config_folders import folders
from scalian_exp.vocabulary.grammar import read
from scalian_exp.vocabulary.yaml_files import explained, is_old_name, mapping_in, package_in, text_in

INHERITED = {"base", "replaced"}
"""names of files and folders that options inherit from but that aren't options themselves"""
NESTED = {"experiment"}
"""groups whose options may lie in folders inside the group's, as experiment=course/vae; such folders are no groups"""
WORD, WORDS = 0.5, 0.8
"""least similarity of a word to that which it misspells, and of several words written with other underscores"""


def files(group: str) -> dict[str, Path]:
    """Return name → file for all options of a group, sorted by name; the first folder that has an option counts.

    Former names of options, which still compose, are left out.
    """
    result: dict[str, Path] = {}
    for folder in folders():
        for file in (folder / group).glob("**/*.yaml" if group in NESTED else "*.yaml"):
            name = file.relative_to(folder / group).with_suffix("")
            if INHERITED.isdisjoint(name.parts):
                result.setdefault(name.as_posix(), file)
    names = sorted(result)
    return {name: result[name] for name in names if not is_old_name(text_in(result[name]))}


def is_group(folder: Path) -> bool:
    """Return whether a folder, relative to that of all configs, holds a group of options that a user can choose."""
    nested = any(parent.as_posix() in NESTED for parent in folder.parents)
    return folder != Path() and not nested and INHERITED.isdisjoint(folder.parts)


def group_and_name(config: str) -> tuple[str, str]:
    """Split a config file's path into its group and its name there: model/vae, but experiment and course/vae."""
    group, _, name = config.rpartition("/")
    while group and not is_group(Path(group)):
        group, _, folder = group.rpartition("/")
        name = f"{folder}/{name}"
    return group, name


def own_name(option: str) -> str:
    """Return the name of an option without the folders that it lies in: vae of course/vae."""
    return option.rpartition("/")[2]


OmegaConf.register_new_resolver("own_name", own_name, replace=True)


def options(group: str) -> dict[str, dict[str, Any]]:
    """Return name → content for a group's options, sorted by name, with what they inherit but before interpolation."""
    result: dict[str, dict[str, Any]] = {}
    for name in files(group):
        root = inherited(f"{group}/{name}")
        node: Any = root
        for part in group.split("/"):
            node = node.get(part) if isinstance(node, dict) else None
        result[name] = root if node is None else node
    return result


def inherited(config: str) -> dict[str, Any]:
    """Return a config file merged over the files in its defaults list, as seen from the root of a config."""
    result: dict[str, Any] = {}
    for part in parts(config):
        result = merged(result, part)
    return deepcopy(result)


def parts(config: str, heirs: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """Yield the contents of a config file and of those that it inherits from, in ascending precedence.

    Each is given as seen from the root of a config. Entries of the defaults list such as `fcn8s` or
    `/model/optimizer/adam` are inherited from; those that choose an option of a group (`/model/crf: null`) can be
    overridden, and are left out. Nothing is yielded if the file doesn't exist.

    Args:
        config: the file, as `model/vae`.
        heirs: the files that inherit from it, the first one's chain.

    Raises:
        Refusal: if a file inherits from itself.
    """
    check_descent(config, heirs)
    text, content = read_option(config)
    group, own = config.rpartition("/")[0], dict(content)
    entries: list[Any] = own.pop("defaults", [])
    for name in filter(None, reversed(package_of(config, text).split("."))):
        own = {name: own}
    for entry in entries if "_self_" in entries else [*entries, "_self_"]:
        if entry == "_self_":
            yield own
        elif isinstance(entry, str) and "@" not in entry:
            yield from parts(entry[1:] if entry.startswith("/") else f"{group}/{entry}", (*heirs, config))


def package_of(config: str, text: str) -> str:
    """Return the dotted path at which the keys of a config file stand in an experiment; empty for its root.

    Args:
        config: the file, as `model/vae`.
        text: its text.
    """
    folders = config.split("/")[:-1]
    return package_in(text, ".".join(folders))


def check_descent(config: str, heirs: tuple[str, ...]) -> None:
    """Check that a config file is not among those that inherit from it.

    Raises:
        Refusal: if it is.
    """
    if config in heirs:
        chain = " → ".join(f"{each}.yaml" for each in (*heirs[heirs.index(config) :], config))
        raise Refusal(f"A config file inherits from itself ({chain}); correct its defaults.")


def read_option(config: str) -> tuple[str, dict[str, Any]]:
    """Return the text and the content of a config file; both empty if there is no such file.

    Raises:
        Refusal: if it is not YAML.
    """
    file = next((path for folder in folders() if (path := folder / f"{config}.yaml").exists()), None)
    if file is None:
        return "", {}
    text = text_in(file)
    return text, mapping_in(text, file)


def override_in(config: str, group: str, heirs: tuple[str, ...] = ()) -> str | None:
    """Return the option of a group that a config file, or one that it inherits from, chooses in its defaults list."""
    check_descent(config, heirs)
    entries: list[Any] = read_option(config)[1].get("defaults", [])
    for entry in entries:
        if isinstance(entry, dict) and f"override /{group}" in entry:
            return str(entry[f"override /{group}"])
    parents = [entry for entry in entries if isinstance(entry, str) and entry != "_self_" and "@" not in entry]
    within = config.rpartition("/")[0]
    paths = [name[1:] if name.startswith("/") else f"{within}/{name}" for name in parents]
    chosen = [override_in(path, group, (*heirs, config)) for path in paths]
    return next(filter(None, reversed(chosen)), None)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge two configs key by key; the second takes precedence."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def documented(file: Path, group: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, default and comment of each key in an option's file; a default of several lines is left empty."""
    text = text_in(file)
    try:
        lines, root = text.splitlines(), yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise Refusal(explained(error, file)) from error
    pairs = list(root.value) if isinstance(root, yaml.MappingNode) else []
    for key, value in next((v.value for k, v in pairs if k.value == group and isinstance(v, yaml.MappingNode)), pairs):
        line, short = key.start_mark.line, value.end_mark.line == key.start_mark.line
        default = text[value.start_mark.index : value.end_mark.index] if short else ""
        rest = lines[line][value.end_mark.column if short else key.end_mark.column + 1 :]
        yield key.value, default, rest.partition("#")[2].strip()


def may_misspell(name: str, other: str) -> bool:
    """Return whether one name may be the other misspelt: min_steps isn't max_steps, as one of its words differs."""
    words, others = name.rpartition(".")[2].split("_"), other.rpartition(".")[2].split("_")
    if len(words) != len(others):
        return SequenceMatcher(None, "".join(words), "".join(others)).ratio() >= WORDS
    return all(SequenceMatcher(None, *pair).ratio() >= WORD for pair in zip(words, others, strict=True))


def close_to(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to a misspelt one, ignoring case; None if none is similar."""
    folded = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), folded, n=1)
    return folded[close[0]] if close else None


def fitting(group: str, fits: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Return the names of a group's options whose content satisfies `fits`, without those made for tests."""
    return [name for name, node in options(group).items() if fits(node) and not name.startswith("fake")]


def choices_of(config: DictConfig) -> dict[str, str]:
    """Return group → chosen option, or a placeholder for each group if Hydra isn't in use."""
    if HydraConfig.initialized():
        return dict(HydraConfig.get().runtime.choices)
    return {str(group): "this one" for group in config}


def task_overrides() -> list[Override]:
    """Return the overrides given to Hydra's current job, with ${…} unresolved."""
    given: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return [override for override in map(read, given) if override]

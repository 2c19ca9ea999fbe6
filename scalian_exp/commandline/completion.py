"""Complete a command line in a shell: answer what the shell asks when TAB is pressed, without importing torch.

Hydra prints the script that a shell needs (`scalian-train -sc install=bash`). Its own answers would compose a config
each time, and know neither run folders nor scalian-apply's arguments nor values such as true or crop.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scalian_exp.commandline.actions import OWN, as_override
from scalian_exp.commandline.help import groups
from scalian_exp.commandline.runs import LATEST, OUTPUTS, runs_below
from scalian_exp.commandline.shell import shown
from scalian_exp.folders import CONFIG
from scalian_exp.vocabulary.checks import RESERVED
from scalian_exp.vocabulary.config_folders import CONFIGS, on_command_line
from scalian_exp.vocabulary.grammar import expand_home, is_path
from scalian_exp.vocabulary.json_types import value_of
from scalian_exp.vocabulary.nodes import leaf_paths
from scalian_exp.vocabulary.options import files, options
from scalian_exp.vocabulary.signatures import signature

QUERY = re.compile("query=(bash|zsh|fish)")
FLAGS = ("-m", "--multirun", "--help", "--cfg", "--resolve")
RUNS = {"run", "resume", "init_from"}
"""keys whose value is a run folder"""
LISTED = 10
"""number of runs that are offered"""
DEVICES = ("cpu", "gpu", "mps")


def answer(config_name: str) -> bool:
    """Print the completions of the command line in COMP_LINE if the shell asks for them; return whether it does."""
    asked = [match[1] for argument in sys.argv[1:] if (match := QUERY.fullmatch(argument))]
    if not asked or not is_about_shells(sys.argv[1:]):
        return False
    line = os.environ.get("COMP_LINE", "")
    point = os.environ.get("COMP_POINT", "")
    line = os.fsdecode(os.fsencode(line)[: int(point)]) if point.isdigit() else line
    words = words_of(line)[1:] or [""]
    given, begun = words[:-1], words[-1]
    with on_command_line(given):
        found = sorted({word for word in completions(config_name, given, begun) if word.startswith(begun)})
    print(("\n" if asked[0] == "fish" else " ").join(found))
    return True


def words_of(line: str) -> list[str]:
    """Return the words of a line of a shell without their quotes; the last may be empty, or in a quote still open."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words += lexer
    except ValueError:  # an open quote, or a backslash at the end
        return [*words, lexer.token]
    return [*words, ""] if line[-1:].isspace() else words


def is_about_shells(arguments: list[str]) -> bool:
    """Return whether a command line installs completion in a shell, or asks for completions."""
    return not {"-sc", "--shell-completion"}.isdisjoint(arguments)


def completions(config_name: str, given: list[str], word: str) -> Iterable[str]:
    """Return words with which a word of a command line may go on.

    Args:
        config_name: train or apply.
        given: the words before.
        word: the beginning of the word.
    """
    if word.startswith("-"):
        return FLAGS
    sign = word[:1] if word[:1] in ("+", "~") else ""
    key, equals, value = word.lstrip("+~").partition("=")
    if not equals:
        keys = keys_of_training(given, key) if config_name == "train" else keys_of_action(given)
        return [f"{sign}{each}" for each in keys]
    return [f"{sign}{key}={each}" for each in values(config_name, given, key, value)]


def keys_of_training(given: list[str], key: str) -> Iterator[str]:
    """Yield groups with =, and keys of the experiment: those of its root, or below the dots that the word has."""
    yield from (f"{group}=" for group in groups())
    config: Any = composed("train", given) if "." in key else OmegaConf.load(CONFIGS / "train.yaml")
    depth = key.count(".")
    for path in leaf_paths(config) if isinstance(config, DictConfig) else ():
        if path.count(".") == depth and path.startswith(key):
            node = OmegaConf.select(config, path, throw_on_missing=False) if "." in key else config.get(path)
            if path not in ("defaults", "hydra"):
                yield f"{path}." if isinstance(node, DictConfig) else f"{path}="
    if not depth:
        yield from (f"{group}." for group in groups() if "/" not in group)


def keys_of_action(given: list[str]) -> Iterator[str]:
    """Yield the arguments of scalian-apply and those of the action that the words before choose."""
    yield from ("dataset.root=" if each == "dataset" else f"{each}=" for each in OWN)
    yield from (f"{argument}=" for argument in chosen_action(given) if argument not in RESERVED)


def chosen_action(given: list[str]) -> dict[str, Any]:
    """Return the node of the action that a command line chooses; empty if it chooses none."""
    name = next((word.partition("=")[2] for word in reversed(given) if word.startswith("action=")), "")
    return options("action").get(name, {}) if name in files("action") else {}


def values(config_name: str, given: list[str], key: str, value: str) -> Iterator[str]:
    """Yield values that a key may have, given how the value begins: options, paths, or those of its type."""
    begun = value[: max(value.rfind(","), value.rfind("[")) + 1]  # of a list, or of a sweep
    if names := files(key):
        yield from (f"{begun}{name}" for name in names)
    elif config_name == "apply" and key == "device":
        yield from DEVICES
    elif is_path(key):
        yield from paths(value, key in RUNS)
    elif config_name == "apply":
        node = chosen_action(given)
        typed = [*typed_values(str(node.get("_target_")), key)]
        yield from typed or paths(value, runs=False)
    else:
        yield from values_of_training(given, key)


def values_of_training(given: list[str], key: str) -> Iterator[str]:
    """Yield the values of a key's type, or else its value in the experiment."""
    outer, _, last = key.rpartition(".")
    config: Any = composed("train", given)
    if config is None:
        return
    node = OmegaConf.select(config, outer) if outer else config
    if not isinstance(node, DictConfig):
        return
    yield from typed_values(str(node.get("_target_")), last)
    now: Any = OmegaConf.to_container(node, resolve=False)
    if isinstance(now.get(last), bool):
        yield from ("true", "false")
    elif isinstance(now.get(last), int | float | str):
        yield str(now[last])


def typed_values(target: str, name: str) -> Iterator[str]:
    """Yield the values that an argument of a class may have, if they can be listed."""
    takes = signature(target)
    if takes is None or name not in takes.parameters:
        return
    schema = value_of(takes.parameters[name].annotation, {})
    for choice in [schema, *schema.get("anyOf", [])]:
        yield from ("null" if value is None else str(value) for value in choice.get("enum", []))
        if "boolean" in choice.get("type", []):
            yield from ("true", "false")


def paths(value: str, runs: bool) -> Iterator[str]:
    """Yield paths that begin like a value; for runs, also the newest ones, and `latest`."""
    if runs:
        yield LATEST
        yield from map(shown, runs_below(OUTPUTS)[:LISTED] if OUTPUTS.is_dir() else [])
    before, slash, last = value.rpartition("/")
    folder = Path(expand_home(before + slash) or ".")
    for path in folder.iterdir() if folder.is_dir() else ():
        fitting = path.is_dir() or path.suffix == ".ckpt" or not runs
        if fitting and path.name.startswith(last) and (last or not path.name.startswith(".")):
            inside = "/" if path.is_dir() and not (runs and (path / CONFIG).is_file()) else ""
            yield f"{before}{slash}{path.name}{inside}"


def composed(config_name: str, given: list[str]) -> DictConfig | None:
    """Compose the config of the words before; None if they can't be."""
    overrides = [as_override(word, several=False) if config_name == "apply" else word for word in given]
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return compose(config_name, [word for word in overrides if "=" in word and not word.startswith("-")])
    except (HydraException, OmegaConfBaseException):
        return None

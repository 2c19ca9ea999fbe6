"""Where objects stand in the config of an experiment, gathered from all config files. Imports no torch."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalian_exp.vocabulary.config_folders import folders
from scalian_exp.vocabulary.options import package_of
from scalian_exp.vocabulary.yaml_files import commented, mapping_in, text_in


@dataclass
class Position:
    """A mapping in the config of an experiment, such as model.network, as all config files together show it."""

    targets: dict[str, None] = field(default_factory=dict)
    """the classes and functions that config files put here, in the order in which they were met"""
    children: dict[str, "Position"] = field(default_factory=dict)
    """the mappings inside it, by key"""
    values: dict[str, list[Any]] = field(default_factory=dict)
    """the other values that config files give its keys"""
    comments: dict[str, dict[str, str]] = field(default_factory=dict)
    """class → key → its comment in the first file that names this class here; "" stands for files that name none"""
    folder: bool = False
    """whether files hold its keys and no others, so that their defaults lists stand beside them"""

    def at(self, path: str) -> "Position":
        """Return the position at a dotted path below this one, which is created if there is none."""
        here = self
        for name in path.split(".") if path else []:
            here = here.children.setdefault(name, Position())
        return here

    def below(self, path: str = "") -> Iterator[tuple[str, "Position"]]:
        """Yield path and position of this one and of all inside it."""
        yield path, self
        for name, child in self.children.items():
            yield from child.below(f"{path}.{name}".lstrip("."))

    def add(self, node: dict[str, Any]) -> None:
        """Add what a mapping at this position holds."""
        for key, value in node.items():
            if key == "_target_" and isinstance(value, str):
                self.targets.setdefault(value)
            elif isinstance(value, dict):
                self.at(key).add(value)
            elif key != "defaults":
                self.values.setdefault(key, []).append(value)
                for item in value if isinstance(value, list) else ():
                    if isinstance(item, dict):
                        self.at(key).add(item)

    def comment(self, key: str, target: str = "") -> str:
        """Return the comment of a key, if there is one, from a file that names a class here if possible."""
        own = self.comments.get(target, {})
        return own.get(key) or next((each[key] for each in self.comments.values() if key in each), "")

    @property
    def is_list_of_names(self) -> bool:
        """Whether it maps names to objects, as callbacks does, rather than keys that something reads to values."""
        return bool(self.children) and not any(value is not None for each in self.values.values() for value in each)


def config_files() -> dict[str, Path]:
    """Return name → file of all config files, such as model/vae; the first folder that has one counts."""
    result: dict[str, Path] = {}
    for folder in folders():
        for file in sorted(folder.rglob("*.yaml")):
            result.setdefault(file.relative_to(folder).with_suffix("").as_posix(), file)
    return result


def positions(files: dict[str, Path]) -> Position:
    """Return the root of an experiment's config, with all positions that these files show."""
    root = Position()
    for name, file in files.items():
        text = text_in(file)
        node = mapping_in(text, file)
        package = package_of(name, text)
        here = root.at(package)
        here.add(node)
        here.folder = True
        for path, _, comment in commented(text):
            outer, _, key = path.rpartition(".")
            there = root.at(f"{package}.{outer}".strip("."))
            there.comments.setdefault(target_at(node, outer), {}).setdefault(key, comment)
        for entry in node.get("defaults", []):
            if isinstance(entry, str) and "@" in entry:  # /loss/dice@dice.loss: another file's keys, at this position
                other, _, inner = entry.partition("@")
                if source := files.get(other.strip("/")):
                    root.at(f"{package}.{inner}").add(mapping_in(text_in(source), source))
    return root


def target_at(node: dict[str, Any], path: str) -> str:
    """Return the `_target_` of the mapping at a dotted path inside a mapping; empty if it has none."""
    here: Any = node
    for name in path.split(".") if path else []:
        here = here.get(name) if isinstance(here, dict) else None
    return str(here.get("_target_", "")) if isinstance(here, dict) else ""

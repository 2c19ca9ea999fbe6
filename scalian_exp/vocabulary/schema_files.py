"""The files of schemas, one for each folder of configs, and the comment in each config that names its own. No torch."""

import ast
import json
import re
from pathlib import Path
from typing import Any

from scalian_exp.vocabulary.checks import ROOT
from scalian_exp.vocabulary.json_types import Schema, reference, value_of
from scalian_exp.vocabulary.options import files as options_in
from scalian_exp.vocabulary.options import is_group, package_of
from scalian_exp.vocabulary.positions import config_files, positions
from scalian_exp.vocabulary.schemas import NODE, WHOLE, Schemas
from scalian_exp.vocabulary.yaml_files import PACKAGE, text_in

DRAFT = "http://json-schema.org/draft-07/schema#"
TRAINING, ACTIONS = "train", "apply"
"""the schemas of an entire experiment, and of what scalian-apply does with one"""
WIDTH = 160
"""longest line in a file"""
CLOSED = {"additionalProperties": False}
MODELINE = "# yaml-language-server: $schema="
"""begins the comment that names a config file's schema"""


def schemas() -> dict[str, Schema]:
    """Return path → schema for each folder of configs, such as model/optimizer, and for train and apply."""
    every = config_files()
    of_actions = {name for name in every if name == ACTIONS or name.startswith("action/")}
    result: dict[str, Schema] = {}
    for whole, names in ((TRAINING, every.keys() - of_actions), (ACTIONS, of_actions)):
        files = {name: file for name, file in every.items() if name in names}
        definitions = Schemas(positions(files)).definitions()
        keys = definitions[WHOLE]["properties"]
        for name in keys.keys() & ROOT.keys():
            keys[name] |= value_of(ast.Constant(ROOT[name]), NODE)
        places = packages(files)
        chosen = sorted(group for group in places if is_group(Path(group)))
        definitions |= {option_name(group): options_of(group) for group in chosen}
        definitions["choice"] = choice({f"/{group}": group for group in chosen})
        result[whole] = {**of_folder("", whole, "", chosen), "definitions": definitions}
        for folder in sorted(places.keys() - {""}):
            result[folder] = of_folder(folder, whole, places[folder], chosen)
    return result


def of_folder(folder: str, whole: str, package: str, groups: list[str]) -> Schema:
    """Return the schema of the files in a folder of configs.

    Args:
        folder: its path; empty for the root.
        whole: the schema that has the definitions.
        package: where the keys of its files stand in a config.
        groups: all groups of options, from which defaults lists choose.
    """
    source = f"{'../' * folder.count('/')}{whole}.json" if folder else ""
    prefix = f"{folder}/" if folder else ""
    within = {group.removeprefix(prefix): group for group in groups if group.startswith(prefix)}
    choices = [{"$ref": f"{source}#/definitions/choice"}, *([choice(within, source)] if within else [])]
    entry = {"anyOf": [{"type": "string"}, *choices]}
    lists = {"type": "array", "items": entry, "description": "files to inherit from, and options of groups"}
    keys = {"allOf": [{"$ref": f"{source}#/definitions/{package or WHOLE}"}], "properties": {"defaults": lists}}
    return {"$schema": DRAFT, "title": f"an option of {folder}" if folder else f"the config of scalian-{whole}", **keys}


def choice(groups: dict[str, str], source: str = "") -> Schema:
    """Return the schema of an entry of a defaults list that chooses an option.

    Args:
        groups: maps the name by which an entry names a group to the group.
        source: the file of the definitions, if it is another one.
    """
    keys = {
        f"{prefix}{name}": {"$ref": f"{source}#/definitions/{option_name(group)}"}
        for name, group in groups.items()
        for prefix in ("", "override ")
    }
    # Hydra has groups of its own, an option may be optional, and @ puts its keys elsewhere
    others: Schema = {"^((override|optional) )?/?hydra/": {}, "^optional ": {}, "@": {}}
    return {"type": "object", "maxProperties": 1, "properties": keys, "patternProperties": others, **CLOSED}


def option_name(group: str) -> str:
    """Return the name of the definition of a choice among a group's options; a / would need an escape."""
    return f"{group.replace('/', '.')}="


def options_of(group: str) -> Schema:
    """Return the schema of a choice among a group's options; Hydra's own groups have more than are known here."""
    if group.partition("/")[0] == "hydra":
        return {}
    name = {"anyOf": [{"enum": [*options_in(group)]}, reference()]}
    return {"anyOf": [*name["anyOf"], {"type": "null"}, {"type": "array", "items": name}]}


def packages(files: dict[str, Path]) -> dict[str, str]:
    """Return folder of configs → dotted path in a config at which the keys of its files stand; empty for the root.

    Where a file states another place than the others in its folder, as model/optimizer/own, the deepest one counts.
    """
    result: dict[str, str] = {}
    for name, file in files.items():
        folder = name.rpartition("/")[0]
        result[folder] = max(result.get(folder, ""), package_of(name, text_in(file)))
    return result


def with_modeline(text: str, name: str, places: dict[str, str]) -> str:
    """Return the text of a config file with the comment that names its schema.

    It is the first line, or follows `# @package`, which Hydra only finds before all other comments.

    Args:
        text: of the file.
        name: its path without .yaml, relative to the folder of configs, beside which the schemas lie.
        places: what `packages` returns for all files.
    """
    folder, package = name.rpartition("/")[0], package_of(name, text)
    fitting = next((other for other, place in places.items() if other and place == package), TRAINING)
    schema = name if not folder else folder if places[folder] == package else fitting if package else TRAINING
    line = f"{MODELINE}{'../' * (name.count('/') + 1)}schemas/{schema}.json\n"
    text = re.sub(f"^{re.escape(MODELINE)}.*\n", "", text, flags=re.MULTILINE)
    start = match.end() + 1 if (match := PACKAGE.match(text)) else 0
    return text[:start] + line + text[start:]


def written(value: Any, depth: int = 0) -> str:
    """Return a schema as JSON; what doesn't fit on a line is broken into one for each key or item.

    Args:
        value: the schema, or a part of it.
        depth: number of mappings and lists around this part.
    """
    line = json.dumps(value, ensure_ascii=False)
    if depth + len(line) <= WIDTH or not isinstance(value, dict | list):
        return line
    begin = (
        [f"{json.dumps(key, ensure_ascii=False)}: " for key in value] if isinstance(value, dict) else [""] * len(value)
    )
    parts = value.values() if isinstance(value, dict) else value
    indent = "\n" + " " * (depth + 1)
    inner = f",{indent}".join(key + written(part, depth + 1) for key, part in zip(begin, parts, strict=True))
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}{indent}{inner}\n{' ' * depth}{closing}"

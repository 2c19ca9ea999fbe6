"""JSON schemas of all config files, for editors: keys, types, defaults and descriptions from the sources. No torch.

There is one for each folder of configs and one each for train.yaml and apply.yaml, of draft 7, which editors understand
best. train.json and apply.json define every position of a config (positions.py) and every class that one names; the
others refer to them. A mapping with a `_target_` may have the arguments of this class; one without, as where a file
changes a few values of what it inherits, those of any class that some config puts at its position.
"""

import ast
import json
from functools import cached_property
from textwrap import shorten
from typing import Any

from scalian_exp.vocabulary.definitions import find
from scalian_exp.vocabulary.docstrings import summary
from scalian_exp.vocabulary.facts import AUTO, FACTS
from scalian_exp.vocabulary.json_types import NAMES, REFERENCE, Schema, joined, reference, value_of
from scalian_exp.vocabulary.positions import Position
from scalian_exp.vocabulary.signatures import Parameter, signature

TYPES = "type."
"""begins the names of schemas of values that many arguments have"""
WHOLE = "config"
"""the name of the definition of an entire config"""
NODE: Schema = {"$ref": "#/definitions/node"}
PARTIAL: Schema = {
    "type": "boolean",
    "description": "true: pass a function that builds the object, not the object itself",
}
OF_HYDRA: Schema = {"patternProperties": {"^_(recursive|convert|args)_$": {}}}
"""keys that every mapping with a `_target_` may have, but few need"""
VARYING = {"$comment": "has arguments of another package, which may change with its version"}
SHORT = 120
"""length of other packages' descriptions"""
LIMITS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
"""keyword → how the name of a schema says it"""
PLAIN = {"type", "pattern", "patternErrorMessage", *LIMITS}
STATED = {"fits", "provides", "needs"}
"""keys beside a class's arguments by which checks know what fits together"""


class Schemas:
    """The schemas of an experiment's config, as definitions that refer to each other.

    Args:
        root: the positions that config files show.
    """

    def __init__(self, root: Position):
        self.root = root
        self.places: dict[str, str] = {}
        """class or function → the first position at which a config names it"""
        for path, position in root.below():
            for target in position.targets:
                self.places.setdefault(target, path)
        self.types: dict[str, Schema] = {}
        """name → schema of the values of many arguments"""

    def definitions(self) -> dict[str, Schema]:
        """Return name → schema of all positions and all classes."""
        every = {path or WHOLE: self.position(path, position) for path, position in self.root.below()}
        data = self.root.at("dataset")
        facts = {f"dataset.{name}": fact(data, name, {}) for name in FACTS if data.targets}
        rest = {**every, **facts, **self.classes, **self.types}
        return {"node": self.node(), "_partial_": PARTIAL, **dict(sorted(rest.items()))}

    @cached_property
    def classes(self) -> dict[str, Schema]:
        """Class or function → schema of a mapping with this `_target_`."""
        return {target: self.built(target, place) for target, place in self.places.items()}

    def node(self) -> Schema:
        """Return the schema of a mapping from which any object is built."""
        known = [
            {"if": {"required": ["_target_"], "properties": {"_target_": {"const": target}}}, "then": refer(target)}
            for target in sorted(self.places)
        ]
        return {**mapping(), "properties": {"_target_": {"type": "string"}}, "allOf": known}

    def position(self, path: str, position: Position) -> Schema:
        """Return the schema of what may stand at a position of a config."""
        if not position.targets:
            return mapping(**self.record(path, position))
        targets = {"description": "the class", "anyOf": [{"enum": [*position.targets]}, {"type": "string"}]}
        with_class = {"if": {"required": ["_target_"], "type": "object"}, "then": NODE}
        return mapping(properties={"_target_": targets}, **with_class, **{"else": self.arguments(position)})

    def record(self, path: str, position: Position) -> Schema:
        """Return the keys of a mapping from which no object is built: names of objects, or keys that are read."""
        inner = {name: refer(f"{path}.{name}".lstrip(".")) for name in position.children}
        if path.partition(".")[0] == "hydra":
            return {"properties": inner}
        if position.is_list_of_names:
            return {"properties": with_defaults(position, inner), "additionalProperties": NODE}
        leaves = {
            name: {**typed(values), **described(position.comment(name))}
            for name, values in position.values.items()
            if name not in inner
        }
        closed = {"additionalProperties": False} if inner or leaves else {}
        return {"properties": with_defaults(position, {**leaves, **inner}), **closed}

    def arguments(self, position: Position) -> Schema:
        """Return the keys of a mapping at a position that builds an object of any class that stands there."""
        classes = {target: self.classes[target] for target in position.targets}
        found: dict[str, dict[str, Schema]] = {}
        for target, schema in classes.items():
            for name, value in schema["properties"].items():
                found.setdefault(name, {}).setdefault(json.dumps(value), refer(f"{target}/properties/{name}"))
        keys = {
            name: each[0] if len(each) == 1 else {"anyOf": each}
            for name, each in ((name, [*refs.values()]) for name, refs in found.items())
        }
        closed = all("additionalProperties" in schema for schema in classes.values())
        return {"properties": keys, **OF_HYDRA, **({"additionalProperties": False} if closed else {})}

    def built(self, target: str, path: str) -> Schema:
        """Return the schema of a mapping with this `_target_`, at the first position that has one."""
        position, takes, definition = self.root.at(path), signature(target), find(*target.rpartition(".")[::2])
        keys = {
            name: self.argument(target, path, position, name, parameter)
            for name, parameter in (takes.parameters if takes else {}).items()
        }
        stated = {name: typed(values) for name, values in position.values.items() if name in STATED}
        stated |= {name: refer(f"{path}.{name}") for name in position.children if name in STATED}
        facts = FACTS if path == "dataset" else set()
        stated |= {name: refer(f"dataset.{name}") for name in sorted(facts - keys.keys())}
        keys |= {name: fact(position, name, keys[name]) for name in sorted(facts & keys.keys())}
        shared = {"_target_": {"type": "string"}, "_partial_": refer("_partial_")}
        every = with_defaults(position, {**shared, **keys, **stated})
        closed = {"additionalProperties": False} if takes and not takes.open else {}
        varying = VARYING if takes is None or any(is_foreign(each) for each in takes.parameters.values()) else {}
        text = summary(definition[1]) if definition else ""
        return {**varying, **described(text), "properties": every, **OF_HYDRA, **closed}

    def argument(self, target: str, path: str, position: Position, name: str, parameter: Parameter) -> Schema:
        """Return the schema of an argument's values."""
        known = name in position.children
        inner = refer(f"{path}.{name}") if known else NODE
        schema = value_of(parameter.annotation, inner)
        if known and inner not in (choices := schema.get("anyOf", [schema])):
            schema = {"anyOf": [*choices, inner]} if schema else inner
        if schema == inner != NODE:  # which describes itself
            return inner
        comment = "" if known else position.comment(name, target)
        text = comment or sentence(parameter.description) if is_foreign(parameter) else parameter.description or comment
        return without_siblings({**self.shared(schema), **described(text), **default_of(parameter)})

    def shared(self, schema: Schema) -> Schema:
        """Return a reference to a schema of plain values that many arguments have; other schemas unchanged."""
        own_pattern = schema.get("pattern", REFERENCE) != REFERENCE
        if not isinstance(schema.get("type"), list) or not schema.keys() <= PLAIN or own_pattern:
            return schema
        types = [each for each in schema["type"] if each != "string" or "pattern" not in schema]
        limits = [f"{word}_{schema[key]}" for key, word in LIMITS.items() if key in schema]
        name = TYPES + "_".join(["_or_".join(types), *limits])
        self.types[name] = schema
        return refer(name)


def fact(position: Position, name: str, schema: Schema) -> Schema:
    """Return the schema of a fact about a data set's examples, which may be read from its files.

    Args:
        position: of the data set.
        name: of the fact.
        schema: of the argument of this name that its class takes; {} if it takes none.
    """
    values = [value for value in position.values.get(name, []) if value != AUTO]
    inner = {key: value for key, value in schema.items() if key not in ("description", "default")} or typed(values)
    return {**({"anyOf": [{"const": AUTO}, inner]} if inner else {}), **described(position.comment(name))}


def is_foreign(parameter: Parameter) -> bool:
    """Return whether a parameter is one of another package, whose next version may have others."""
    return parameter.module.partition(".")[0] != __name__.partition(".")[0]


def with_defaults(position: Position, keys: dict[str, Schema]) -> dict[str, Schema]:
    """Add the defaults list to the keys of a position that has files of its own."""
    return {"defaults": {"type": "array"}, **keys} if position.folder else keys


def described(text: str) -> Schema:
    """Return the description of a schema, if there is one."""
    return {"description": text} if text else {}


def sentence(text: str) -> str:
    """Return the first sentence of a text, or as much of it as makes a short line."""
    return shorten(text.partition(". ")[0], SHORT, placeholder=" …")


def refer(name: str) -> Schema:
    """Return a reference to a definition."""
    return {"$ref": f"#/definitions/{name}"}


def without_siblings(schema: Schema) -> Schema:
    """Return a schema in which a reference stands alone, because draft 7 ignores what stands beside one."""
    if "$ref" not in schema or len(schema) == 1:
        return schema
    return {"allOf": [{"$ref": schema["$ref"]}], **{key: value for key, value in schema.items() if key != "$ref"}}


def mapping(**keywords: Any) -> Schema:
    """Return the schema of a mapping, null in its place, or a reference to one."""
    return {**reference(), "type": ["object", "null", "string"], **keywords}


def typed(values: list[Any]) -> Schema:
    """Return the schema of values of the same types as these."""
    kinds = {type(value).__name__ for value in values if not (isinstance(value, str) and "${" in value)}
    if "NoneType" in kinds or not kinds <= {*NAMES, "list", "dict"}:
        return {}
    if "float" in kinds:
        kinds.discard("int")
    return joined([{"type": {"list": "array", "dict": "object", **NAMES}[kind]} for kind in sorted(kinds)])


def default_of(parameter: Parameter) -> Schema:
    """Return the `default` of a parameter, if it is plainly a value that JSON can show."""
    try:
        value = ast.literal_eval(parameter.default) if parameter.default else ...
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return {}
    return {"default": value}

"""The JSON schemas of configs/ in schemas/, and the comment in each config that names its schema; see write_docs.py."""

import json
from pathlib import Path

from scalian_exp.vocabulary.json_types import Schema
from scalian_exp.vocabulary.positions import config_files
from scalian_exp.vocabulary.schema_files import packages, schemas, with_modeline, written
from scalian_exp.vocabulary.schemas import TYPES

ROOT = Path(__file__).resolve().parents[1]


def generated() -> dict[Path, str]:
    """Return file → text, brought up to date, of all schemas and all configs."""
    every, result = config_files(), {}
    places = packages(every)
    for name, file in every.items():
        result[file] = with_modeline(file.read_text(encoding="utf-8"), name, places)
    for name, schema in schemas().items():
        file = ROOT / f"schemas/{name}.json"
        old = file.read_text(encoding="utf-8") if file.exists() else "{}"
        same = lasting(json.loads(old)) == lasting(schema)
        result[file] = old if same else f"{written(schema)}\n"
    return result


def lasting(schema: Schema) -> Schema:
    """Return a schema without what depends on the versions of other packages: definitions of their arguments."""
    every: dict[str, Schema] = schema.get("definitions", {})
    varying = tuple(f'"#/definitions/{name}/' for name, definition in every.items() if "$comment" in definition)
    definitions = {
        name: {key: value for key, value in definition.items() if not any(v in json.dumps(value) for v in varying)}
        for name, definition in every.items()
        if "$comment" not in definition and not name.startswith(TYPES)
    }
    return {**schema, "definitions": definitions}

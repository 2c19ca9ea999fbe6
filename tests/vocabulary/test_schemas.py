"""Editors check config files by JSON schemas made from signatures: what they accept is what the checks accept."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import invoke
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from scalian_exp.ranges import LIMITS
from scalian_exp.vocabulary.annotations import expected
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.docstrings import arguments
from scalian_exp.vocabulary.json_types import value_of
from scalian_exp.vocabulary.schema_files import MODELINE
from scalian_exp.vocabulary.yaml_files import Loader

SCHEMAS = CONFIGS.parent / "schemas"


@cache
def retrieve(uri: str) -> Resource[Any]:
    return Resource.from_contents(json.loads(Path(uri.removeprefix("file://")).read_text(encoding="utf-8")))


@cache
def validator(schema: Path) -> Draft7Validator:
    registry: Registry[Any] = Registry(retrieve=retrieve)  # type: ignore[call-arg]
    return Draft7Validator({"$ref": f"file://{schema}"}, registry=registry)


def problems(text: str, schema: Path) -> dict[str, str]:
    """Return dotted path → message of everything that an editor would mark in a config's text."""
    errors = validator(schema).iter_errors(yaml.load(text, Loader) or {})
    return {".".join(map(str, error.absolute_path)): error.message for error in errors}


def named_schema(file: Path) -> Path:
    """Return the schema that a file names, as an editor finds it: relative to the file."""
    (line,) = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(MODELINE)]
    return (file.parent / line.removeprefix(MODELINE)).resolve()


def test_the_schemas_are_valid() -> None:
    for file in SCHEMAS.rglob("*.json"):
        Draft7Validator.check_schema(json.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "group", sorted({file.parent.relative_to(CONFIGS).parts[:1] for file in CONFIGS.rglob("*.yaml")})
)
def test_every_config_fits_the_schema_that_it_names(group: tuple[str, ...]) -> None:
    files = CONFIGS.joinpath(*group).rglob("*.yaml") if group else CONFIGS.glob("*.yaml")
    for file in files:
        assert not problems(file.read_text(encoding="utf-8"), named_schema(file)), file


def test_the_comment_that_names_a_schema_stands_first() -> None:
    for file in CONFIGS.rglob("*.yaml"):
        first, second = file.read_text(encoding="utf-8").splitlines()[:2]
        assert (second if first.startswith("# @package") else first).startswith(MODELINE), file


WRONG = {
    "model.network.depth": ("model", "model: {network: {_target_: scalian_exp.networks.unet.UNet, depth: four}}"),
    "model.network": ("model", "model: {network: {_target_: scalian_exp.networks.unet.UNet, skipss: true}}"),
    "model.optimizer": ("experiment", "model: {optimizer: {lrate: 3}}"),
    "model.network.hidden": ("model", "model: {network: {hidden: 3}}"),
    "trainer.max_epochs": ("experiment/course", "trainer: {max_epochs: all}"),
    "trainer": ("sweep", "trainer: {max_epoch: 3}"),
    "": ("model", "modle: {network: {}}"),
    "seed": ("experiment", "seed: -1"),
    "defaults.1": ("model", "defaults: [base/segmentation, {override /loss: dicee}]"),
    "defaults.0": ("experiment", "defaults: [{override /los: dice}]"),
    "beta": ("loss", "_target_: scalian_exp.losses.elbo.ELBO\nbeta: high"),
    "fits.task": ("loss", "fits: {task: segmentation}"),
    "figures": ("callbacks", "figures: {every_n_epoch: 3}"),
    "best.save_top_k": ("callbacks", "best: {_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: [1]}"),
    "batch_size": ("dataset", "batch_size: 0"),
    "lr": ("model/optimizer", "_target_: torch.optim.Adam\nlr: [1]"),
    "root": ("dataset", "root: 3"),
    "steps": ("action", "_target_: scalian_exp.actions.pictures.Traverse\nsteps: 1.5"),
}


@pytest.mark.parametrize("place", WRONG)
def test_a_wrong_type_or_key_or_option_is_marked_where_it_stands(place: str) -> None:
    schema, text = WRONG[place]
    found = problems(text, SCHEMAS / f"{schema}.json")
    assert [path for path in found if path.startswith(place.rpartition(".task")[0] or place)], found
    assert all(place.startswith(path) or path.startswith(place) for path in found), found


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("model", "model: {network: {_target_: mine.Net, any: thing}}\ntrainer: {max_epochs: '${dataset.n}'}"),
        ("experiment", "model: {network: {depth: '???'}}\ncallbacks: {figures: null, mine: {_target_: a.B, c: 1}}"),
        ("experiment", "defaults: [{override /dataset/augmentation: [scale, flip]}, {/model/crf: null}, _self_]"),
        ("experiment", "defaults: [{override /hydra/launcher: joblib}]\nhydra: {launcher: {n_jobs: 4}}"),
        ("dataset", "_target_: mine.Data\nin_channels: auto\nmine: 3"),
        *(("experiment", f"dataset: {{fold: {fold}}}") for fold in ("1/5", "'${oc.env:FOLD}'", "'???'", "null")),
        ("model/optimizer", "_target_: mine.Optimizer\n_partial_: true\nrate: 3"),
    ],
)
def test_what_a_user_may_write_is_not_marked(schema: str, text: str) -> None:
    assert not problems(text, SCHEMAS / f"{schema}.json")


VALUES = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    0.5,
    1.5,
    2**40,
    "a",
    "auto",
    "1/5",
    [],
    [1],
    ["a"],
    [1, 2],
    {},
    {"a": 1},
    {"a": "b"},
]


@pytest.mark.parametrize(
    "annotation",
    [
        *["int", "float", "bool", "str", "int | None", "bool | Literal['auto']", "Optional[int]", "Union[int, str]"],
        *["list[int]", "Sequence[str]", "tuple[int, int]", "tuple[int, ...]", "dict[str, int]", "Mapping[str, str]"],
        *["Literal['a', 1]", "Any", "Path", "int | list[int]", "Sequence[Sequence[int]] | None", "Annotated[int, 'x']"],
        *["Fold", "Fold | None", "Literal[-1, 1]"],
        *LIMITS,
        *(f"{name} | None" for name in LIMITS),
    ],
)
@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_schema_accepts_what_the_check_of_an_annotation_accepts(annotation: str, value: Any) -> None:
    """Texts apart, as only the schema sees references such as ${dataset.in_channels}."""
    schema = value_of(ast.parse(annotation, mode="eval").body, {"type": "object", "required": ["_target_"]})
    fits = Draft7Validator(schema).is_valid(value)
    assert fits == (expected(value, ast.parse(annotation, mode="eval").body) is None)
    assert Draft7Validator(schema).is_valid("${dataset.in_channels}")


def test_descriptions_come_from_docstrings() -> None:
    text = """First line: not an argument.

    Args:
        a: one
            and more.

            Another paragraph.
        b, c (int, optional): two: three
        *d: four

    Returns:
        e: nothing
    """
    assert arguments(text) == {"a": "one and more.", "b": "two: three", "c": "two: three", "d": "four"}
    depth = json.loads((SCHEMAS / "train.json").read_text())["definitions"]["scalian_exp.networks.unet.UNet"][
        "properties"
    ]["depth"]
    assert depth["description"]
    assert depth["default"] == 4


def test_the_command_knows_configs_and_classes_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Net:\n    def __init__(self, knots: int = 3):\n        pass\n")
    (tmp_path / "conf/model").mkdir(parents=True)
    file = tmp_path / "conf/model/mine.yaml"
    file.write_text("# @package _global_\nmodel: {network: {_target_: mine.Net, knots: 2}}\n")
    code = "import sys; from scalian_exp.train import main; main(); print(*sys.modules)"
    command = [sys.executable, "-c", code, "--schema", "made", "hydra.searchpath=[file://conf]"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{MODELINE}{tmp_path}/made/model.json" in done.stdout
    assert not {"torch", "mine"} & set(done.stdout.splitlines()[-1].split())
    schema = tmp_path / "made/model.json"
    assert not problems(file.read_text(), schema)
    assert problems(file.read_text().replace("2", "two"), schema)
    assert problems(file.read_text().replace("knots", "knobs"), schema)
    assert not problems("defaults: [{override /model: mine}]", tmp_path / "made/experiment.json")


@pytest.mark.parametrize("arguments", [["--schema", "a", "b"], ["--schema", "--cfg"], ["--schema", "model=vae", "x"]])
def test_what_else_is_asked_for_with_schemas_is_refused(arguments: list[str], tmp_path: Path) -> None:
    code, output = invoke(tmp_path, "scalian-train", *arguments)
    assert code == 1
    assert "--schema FOLDER" in output
    assert not [*tmp_path.iterdir()]

"""Signatures are read from source code, and values are checked against annotations."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from scalian_exp.vocabulary.annotations import check_of, expected
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.nodes import targets
from scalian_exp.vocabulary.signatures import signature


def test_signatures_follow_imports_and_bases() -> None:
    adam = signature("torch.optim.Adam")
    assert adam is not None
    assert {"params", "lr", "betas", "fused"} <= set(adam.parameters)
    digits = signature("scalian_exp.datasets.bundled.Digits")  # inherits __init__
    assert digits is not None
    assert {"batch_size", "val_size"} <= set(digits.parameters)
    mse = signature("scalian_exp.losses.reconstruction.SquaredError")  # nn.Module's __init__ takes no arguments
    assert mse is not None
    assert mse.parameters == {}
    assert signature("no_such_package.Thing") is None


def test_classes_without_a_readable_signature_are_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.py").write_text(
        "from dataclasses import dataclass\nimport torch.nn as nn\n"
        "class Mixin: pass\nclass Base:\n    def __init__(self, width: int): ...\n"
        "@dataclass\nclass Data:\n    width: int\nclass Both(Mixin, Base): pass\n"
        "class Callback:\n    def __init__(self, x): ...\nclass Mine(Callback): pass\nclass Net(nn.Module): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert signature("theirs.Data") is None
    assert signature("theirs.Both") is None
    assert list(signature("theirs.Mine").parameters) == ["x"]  # type: ignore[union-attr]
    assert signature("theirs.Net") is not None


@pytest.mark.parametrize(
    ("cls", "takes", "needs", "is_open"),
    [
        ("Passes", {"own", "width", "depth"}, {"width"}, False),
        ("Leaf", {"own", "width", "depth"}, {"width"}, False),
        ("Gives", {"own", "depth"}, set(), False),
        ("ByPosition", {"own", "depth"}, set(), False),
        ("Repeats", {"width", "depth"}, set(), False),
        ("Dotted", {"own", "width", "depth"}, {"width"}, False),
        ("Hidden", {"own"}, set(), True),
        ("Changed", {"own"}, set(), True),
        ("OfMany", {"own", "other"}, {"other"}, False),
        ("OfSilent", {"own"}, set(), True),
        ("OfNone", {"own"}, set(), False),
        ("Abstract", {"own", "width", "depth"}, {"width"}, False),
        ("Stopping", {"own", "monitor", "patience"}, {"monitor"}, False),
    ],
)
def test_signatures_follow_keywords_to_the_base_class(
    cls: str, takes: set[str], needs: set[str], is_open: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base_of_theirs.py").write_text(
        "class Base:\n    def __init__(self, width: int, depth: int = 1): ...\n"
        "class Mixin:\n    def __init__(self, other): ...\n"
        "class Silent: ...\n"
    )
    start = "    def __init__(self, own=0, **kwargs):\n        "
    (tmp_path / "with_keywords.py").write_text(
        "from abc import ABC\nimport base_of_theirs\nfrom base_of_theirs import Base, Mixin, Silent\n"
        "from torch import nn\n"
        "from pytorch_lightning.callbacks import EarlyStopping\n"
        f"class Passes(Base):\n{start}super().__init__(**kwargs)\n"
        "class Leaf(Passes): ...\n"
        f"class Gives(Base):\n{start}super().__init__(width=own, **kwargs)\n"
        f"class ByPosition(Base):\n{start}super().__init__(own, **kwargs)\n"
        "class Repeats(Base):\n    def __init__(self, width=2, **kwargs):\n        super().__init__(width, **kwargs)\n"
        f"class Dotted(base_of_theirs.Base):\n{start}super().__init__(**kwargs)\n"
        f"class Hidden(Base):\n{start}self.kept = kwargs\n"
        f"class Changed(Base):\n{start}kwargs.pop('more')\n        super().__init__(**kwargs)\n"
        f"class OfMany(Mixin, Base):\n{start}super().__init__(**kwargs)\n"
        f"class OfSilent(Silent, Base):\n{start}super().__init__(**kwargs)\n"
        f"class OfNone(nn.Module):\n{start}super().__init__(**kwargs)\n"
        f"class Abstract(Base, ABC):\n{start}super().__init__(**kwargs)\n"
        f"class Stopping(EarlyStopping):\n{start}super().__init__(**kwargs)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = signature(f"with_keywords.{cls}")
    assert found is not None
    assert found.open is is_open
    assert takes <= found.parameters.keys()
    assert cls == "Stopping" or takes == found.parameters.keys()
    assert {name for name, parameter in found.parameters.items() if parameter.required} == needs


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("int", [1, -1], [1.5, True, "1", None]),
        ("float", [1, 0.5], ["x", False, None]),
        ("bool", [True], [0, "true"]),
        ("str | None", ["a", None], [1]),
        ("Optional[int]", [1, None], ["a"]),
        ("Union[int, str]", [1, "a"], [1.5]),
        ("Sequence[int]", [[1, 2], []], [1, ["a"], "ab"]),
        ("Literal['a', 'b']", ["a"], ["c"]),
        ("Fraction", [0, 0.5, 1], [-0.1, 1.1, "x"]),
        ("PositiveFloat", [0.1], [0, -1]),
        ("SomethingElse", [1, "a", None, {}], []),
    ],
)
def test_values_are_compared_with_annotations(annotation: str, good: list, bad: list) -> None:
    node = ast.parse(annotation, mode="eval").body
    assert [expected(value, node) for value in good] == [None] * len(good)
    assert all(expected(value, node) for value in bad)


def in_use() -> dict[str, ast.expr]:
    """Return the resolved annotations of all parameters of the classes that configs name."""
    result = {}
    for file in sorted(CONFIGS.rglob("*.yaml")):
        for _, node in targets("", yaml.safe_load(file.read_text(encoding="utf-8")) or {}):
            takes = signature(node["_target_"])
            for parameter in takes.parameters.values() if takes else ():
                if parameter.annotation is not None:
                    result[ast.unparse(parameter.annotation)] = parameter.annotation
    return result


def test_every_annotation_in_use_is_understood() -> None:
    annotations = in_use()
    assert len(annotations) > 50
    for annotation in annotations.values():
        check_of(annotation)


@pytest.mark.parametrize(
    ("annotation", "fitting", "wrong"),
    [
        ("Mapping[str, int]", {"a": 1}, {"a": "b"}),
        ("dict[str, float]", {"a": 1}, [1]),
        ("dict", {"a": [1]}, 3),
        ("Dict[str, list[int]]", {"a": [1]}, {"a": [1.5]}),
        ("tuple[int, int]", [1, 2], [1, 2, 3]),
        ("tuple[float, ...]", [1, 2.5, 3], [1, "x"]),
        ("tuple", [1, "a"], "a"),
        ("list", ["a"], "a"),
        ("Sequence", [1], 1),
        ("typing.Sequence[str]", ["a"], [1]),
        ("Iterable[int] | None", None, "a"),
        ("Path", "a/b", 3),
        ("typing.Optional[Path]", None, 3),
        ("t.Union[int, str]", "a", 1.5),
        ("Optional[int]", None, "a"),
        ("Annotated[int, 'metres']", 1, "a"),
        ("Literal[1, 2]", 1, True),
        ("nn.Module", {"_target_": "a.B"}, 3),
        ("Callable", {"_target_": "a.B"}, 3),
        ("nn.Module", {"_target_": "a.B"}, {"a": 1}),
        ("Callable", {"_target_": "a.B"}, {"a": 1}),
        ("type[nn.Module]", {"_target_": "a.B"}, 3),
        ("'int | None'", None, "a"),
    ],
)
def test_annotations_accept_fitting_values_only(annotation: str, fitting: Any, wrong: Any) -> None:
    node = ast.parse(annotation, mode="eval").body
    assert expected(fitting, node) is None
    assert expected(wrong, node)


def test_aliases_and_custom_classes_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kinds.py").write_text("from typing import Union\nclass Thing: ...\nNumber = Union[int, float]\n")
    (tmp_path / "own.py").write_text(
        "from typing import TYPE_CHECKING, NewType, TypeVar\n"
        "if TYPE_CHECKING:\n    from kinds import Thing\n"
        "from kinds import Number\nSizes = list[Number]\nT = TypeVar('T')\nMetres = NewType('Metres', int)\n"
        "class Net:\n    def __init__(self, sizes: Sizes, thing: 'Thing | None', metres: Metres, other: T): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    takes = signature("own.Net")
    assert takes is not None
    annotations = {name: parameter.annotation for name, parameter in takes.parameters.items()}
    assert expected([1, 2.5], annotations["sizes"]) is None
    assert expected(["a"], annotations["sizes"]) == "a list, each item a whole number or a number"
    assert expected({"_target_": "kinds.Thing"}, annotations["thing"]) is None
    assert expected(3, annotations["thing"]) == "a node with a _target_ or null"
    assert expected("x", annotations["metres"]) == "a whole number"
    assert expected("x", annotations["other"]) is None

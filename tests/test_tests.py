"""The layout of the tests: folders named after the package's, and no test file that imports another."""

import ast
from pathlib import Path

import pytest
from composing import REPLACED
from tools import composed

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("*.py"))
FORBIDDEN = {"conftest", "tests"} | {file.stem for file in FILES if file.name.startswith("test_")}
OTHERS = {"programs", "docs", "judges"}
"""folders without a counterpart in the package: complete commands, the documentation, values of others beside ours"""


def imported(file: Path) -> set[str]:
    """Return the top-level names of all modules that a file imports, in functions too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or "").split(".")[0])
    return names


def subfolders(folder: Path) -> set[str]:
    """Return the subfolders of a folder that hold Python files."""
    return {file.relative_to(folder).parts[0] for file in folder.glob("*/*.py")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_tests_never_import_each_other(file: Path) -> None:
    """Shared code stands in modules without tests, and pytest hands out the fixtures of conftest.py by name."""
    modules = imported(file)
    assert not modules & FORBIDDEN
    assert not any(name.startswith(".") for name in modules)


def test_folders_are_named_after_the_packages(root: Path) -> None:
    assert subfolders(TESTS) <= subfolders(root / "scalian_exp") | OTHERS


def test_the_conftest_holds_only_fixtures_and_hooks() -> None:
    tree = ast.parse((TESTS / "conftest.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            fixture = any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
            assert fixture or node.name.startswith("pytest_"), node.name
        else:
            assert isinstance(node, ast.Import | ast.ImportFrom | ast.Expr), ast.unparse(node)


CHOICES = [
    ["model=vae", "loss.beta=2"],
    ["loss.beta=3", "model=vae"],
    ["model=unet", "model/crf=default", "dataset/augmentation=[flip]", "++model.network.depth=2"],
    ["experiment=camvid_tiramisu67", "model/schedule=linear", "~model.schedule.final"],
    ["experiment=vae_mnist", "trainer=debug", "+trainer.val_check_interval=2"],
]


def test_remembered_configs_are_those_that_hydra_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = [composed(*overrides) for overrides in CHOICES * 2]
    for owner, name, _ in REPLACED:
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    assert remembered == [composed(*overrides) for overrides in CHOICES] * 2
    assert remembered[0].loss.beta != remembered[1].loss.beta


def test_a_users_own_options_are_read_each_time(tmp_path: Path) -> None:
    for beta in (5, 6):
        (tmp_path / "loss").mkdir(exist_ok=True)
        (tmp_path / "loss/own.yaml").write_text(f"defaults: [elbo, _self_]\nbeta: {beta}\n")
        assert composed(f"hydra.searchpath=[file://{tmp_path}]", "model=vae", "loss=own").loss.beta == beta

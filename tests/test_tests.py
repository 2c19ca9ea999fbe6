"""The tests' own layout: folders named as the package's rooms, and no test that imports another."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
OTHERS = {"programs", "docs"}
"""folders whose tests are of no single room: commands run as a whole, and what the documentation shows"""


def imported(file: Path) -> set[str]:
    """The top-level names of all modules that a file imports, in functions too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or "").split(".")[0])
    return names


def rooms(folder: Path) -> set[str]:
    """The folders directly in a folder that hold Python files."""
    return {file.relative_to(folder).parts[0] for file in folder.glob("*/*.py")}


@pytest.mark.parametrize("file", sorted(TESTS.rglob("*.py")), ids=lambda file: str(file.relative_to(TESTS)))
def test_tests_import_each_other_nowhere(file: Path) -> None:
    """What they share stands in modules that hold no tests; fixtures come from conftest.py by their names."""
    forbidden = {"conftest", "tests"} | {other.stem for other in TESTS.rglob("test_*.py")}
    found = imported(file)
    assert not found & forbidden
    assert not any(name.startswith(".") for name in found)


def test_folders_are_named_as_the_packages_rooms(root: Path) -> None:
    assert rooms(TESTS) <= rooms(root / "scalian_exp") | OTHERS


def test_the_conftest_holds_only_fixtures_and_hooks() -> None:
    tree = ast.parse((TESTS / "conftest.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            fixture = any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
            assert fixture or node.name.startswith("pytest_"), node.name
        else:
            assert isinstance(node, ast.Import | ast.ImportFrom | ast.Expr), ast.unparse(node)

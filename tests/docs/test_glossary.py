"""The glossary explains every metric that a run prints, and the terms that README doesn't."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import ROOT

GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
EXPLAINED = set(re.findall(r"`([^`]+)`", "\n".join(row.split("|")[1] for row in GLOSSARY.splitlines() if "| " in row)))
FROZEN = sorted((ROOT / "tests/programs/frozen").rglob("metrics.json"))
NOT_LOGGED = {"figures", "figures_of_steps", "configure_optimizers", "state_dict", "make_optimizer", "ranked"}
"""functions of tasks and metrics whose dictionaries hold something else than metrics"""


def explained(name: str) -> bool:
    """Return whether a row of the glossary names a metric, perhaps with a placeholder for a number or a class."""
    return any(re.fullmatch(re.sub(r"<\w+>", ".+", re.escape(row)), name) for row in EXPLAINED)


def logged(file: Path) -> Iterator[str]:
    """Yield the literal keys of dictionaries in a file's functions that return metrics."""
    for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef) and function.name not in NOT_LOGGED:
            for node in ast.walk(function):
                for key in node.keys if isinstance(node, ast.Dict) else ():
                    if isinstance(key, ast.Constant) and re.fullmatch(r"[a-z_0-9]+", str(key.value)):
                        yield str(key.value)


@pytest.mark.parametrize("file", FROZEN, ids=lambda file: file.parent.name[:12])
def test_every_row_of_the_table_after_training_is_explained(file: Path) -> None:
    names = {name.removeprefix("test/") for name in json.loads(file.read_text(encoding="utf-8"))}
    assert {name for name in names if not explained(name)} == set()


def test_every_metric_that_a_task_logs_is_explained() -> None:
    folders = [ROOT / "scalian_exp" / room for room in ("tasks", "metrics")]
    names = {name for folder in folders for file in folder.glob("*.py") for name in logged(file)}
    assert len(names) > 30
    assert {name for name in names - {"out"} if not explained(name)} == set()  # "out": a network's output


@pytest.mark.parametrize("term", ["bf16-mixed", "compile", "dashboard", "ELBO", "requeue", "early stopping", "monitor"])
def test_terms_are_explained(term: str) -> None:
    assert re.search(rf"^\| [^|]*{term}[^|]*\|", GLOSSARY, re.MULTILINE)


def test_terms_are_in_alphabetical_order() -> None:
    rows = GLOSSARY.partition("| term | meaning |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    terms = [row.split("|")[1].strip(" `").replace("β", "beta").casefold() for row in rows]
    assert len(terms) > 60
    assert terms == sorted(terms)

"""The fixture by which tests compare values with those of others, and the table of all of them."""

from pathlib import Path

import pytest
from verdicts import VERDICTS, Judge, show


def pytest_configure(config: pytest.Config) -> None:
    """Begin without verdicts."""
    config.stash[VERDICTS] = []


def pytest_terminal_summary(config: pytest.Config) -> None:
    """Print theirs and ours."""
    show(config.stash[VERDICTS])


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judge:
    """Return the judge of the session."""
    return Judge(request.config.stash[VERDICTS])


@pytest.fixture
def movielens(root: Path) -> Path:
    """Return the folder of MovieLens 100k, whose licence forbids redistribution, or skip the test."""
    folder = root / "data/ml-100k"
    if not (folder / "u1.base").is_file():
        pytest.skip(f"needs {folder}; scalian-train model=popularity dataset=movielens_100k downloads it")
    return folder

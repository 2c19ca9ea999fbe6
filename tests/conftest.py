"""Fixtures for all tests."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import composing
import pytest
import torch
from harm import put_evil_files
from hydra.core.hydra_config import HydraConfig
from tools import browser

from scalian_exp.callbacks import timing


def pytest_configure() -> None:
    """Compose each choice of options once per process, and time inference, which no test checks, by a single pass."""
    composing.install()
    timing.WARM_UP, timing.TIMED = 0, 1


def pytest_collection_finish() -> None:
    """Exempt libraries and tests, which live until the end, from garbage collections: each would take half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _reset_hydra() -> Iterator[None]:
    """Reset Hydra after each test, so that a command run in this process doesn't leave its config to later tests."""
    yield
    HydraConfig.instance().cfg = None


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def evil_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to a folder with malicious files."""
    monkeypatch.chdir(tmp_path)
    put_evil_files(tmp_path)


@pytest.fixture
def root() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium, which keeps what pages log."""
    result = browser(tmp_path_factory.mktemp("profile"))
    result.set_script_timeout(60)
    yield result
    result.quit()

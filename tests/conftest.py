"""Fixtures of all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig


@pytest.fixture(autouse=True)
def nothing_left_of_hydra() -> Iterator[None]:
    """A command that ran in this process leaves its config to none of the tests after it."""
    yield
    HydraConfig.instance().cfg = None


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return Path(__file__).parents[1]

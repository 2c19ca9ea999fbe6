"""One browser for all tests of exhibits."""

from collections.abc import Iterator
from typing import Any

import pytest
from tools import browser


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium, which keeps what pages log."""
    result = browser(tmp_path_factory.mktemp("profile"))
    result.set_script_timeout(60)
    yield result
    result.quit()

"""Every model's page: at least one exhibit, all of them alive, and computing what torch does."""

from pathlib import Path
from typing import Any

import pytest
from pages import Opened
from tools import needs_browser, own_models, tiny

from scalian_exp.run.training import train

pytestmark = [needs_browser, pytest.mark.slow]
WITHOUT = {"popularity"}
"""models of which there is nothing to see"""


@pytest.mark.parametrize("model", sorted(set(own_models()) - WITHOUT))
def test_every_model_has_a_page_that_is_alive(model: str, driver: Any, tmp_path: Path) -> None:
    train(tiny(model), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)
    assert opened.page.exhibits
    assert not opened.page.left_out
    opened.check_sound()

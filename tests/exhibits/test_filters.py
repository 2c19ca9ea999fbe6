"""The exhibit of transposed convolutions, against torch."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
import torch
import torch.nn.functional as F
from pages import Opened
from tools import needs_browser, tiny

from scalian_exp.exhibits.filters.exhibit import bilinear_filters
from scalian_exp.networks.fcn import bilinear
from scalian_exp.run.training import train

pytestmark = needs_browser
part = partial(pages.part, "filters")
EXHIBIT = "page.live.filters.exhibit"


@pytest.mark.parametrize("model", [pytest.param("unet", marks=pytest.mark.slow), "conv_vae"])
def test_it_paints_as_torch_does_and_every_control_changes_what_it_should(
    model: str, driver: Any, tmp_path: Path
) -> None:
    train(tiny(model), tmp_path / "run")
    opened = Opened(driver, tmp_path / "run", tmp_path)

    def check_result() -> None:
        opened.settle()
        used = opened.js(f"return {EXHIBIT}.used()")
        values = torch.tensor(opened.js(f"return Array.from({EXHIBIT}.values)"), dtype=torch.float32).view(1, 1, 6, 6)
        kernel = torch.tensor(used["kernel"], dtype=torch.float32).view(1, 1, *used["sides"])
        expected = F.conv_transpose2d(values, kernel, stride=used["stride"]).flatten()
        np.testing.assert_allclose(opened.js(f"return {EXHIBIT}.result"), expected, atol=1e-4)

    check_result()
    for name, value in (("size", 5), ("stride", 3)):
        assert opened.changes(part("large"), lambda n=name, v=value: opened.enter(part(n), v))
        check_result()
    for value in ("random", "own"):
        opened.click(f"[data-exhibit=filters] [value={value}]")
        check_result()
    assert opened.changes(part("small"), lambda: opened.drag(part("small"), (0.1, 0.1), (0.4, 0.1)))
    check_result()
    opened.click("[data-exhibit=filters] [value=noise]")
    assert opened.changes(part("large"), lambda: opened.enter(part("painted"), 9))
    assert opened.changes(part("large"), lambda: opened.click(f"{part('filters')} button:nth-child(2)"))
    opened.check_sound()


def test_bilinear_filters_are_those_with_which_fcn_starts() -> None:
    layer = bilinear(3, 4)
    expected = bilinear_filters(layer)
    assert expected is not None
    np.testing.assert_allclose(expected, layer.weight.detach(), atol=1e-6)
    assert bilinear_filters(torch.nn.ConvTranspose2d(3, 3, 2, stride=2)) is None

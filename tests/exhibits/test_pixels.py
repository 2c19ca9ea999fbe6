"""The exhibit of images completed pixel by pixel, against torch's networks and autograd."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
import torch
from pages import Opened
from tools import needs_browser, tiny

from scalian_exp.checkpoint import load
from scalian_exp.exhibits.pixels.live import is_live
from scalian_exp.exhibits.pixels.made import influence, known, order
from scalian_exp.networks.pixel_multiscale import MultiScale
from scalian_exp.networks.pixelcnn import PixelCNN
from scalian_exp.networks.pixelrnn import DiagonalBiLSTM, PixelRNN, RowLSTM
from scalian_exp.run.training import train

pytestmark = needs_browser
part = partial(pages.part, "pixels")
EXHIBIT = "page.live.pixels.exhibit"


def opened_run(driver: Any, folder: Path, model: str, *overrides: str) -> tuple[Opened, Any]:
    train(tiny(model, *overrides), folder / "run")
    opened = Opened(driver, folder / "run", folder)
    opened.js("document.querySelector('[data-exhibit=pixels] [data-part=speed]').value = 4")
    return opened, load(folder / "run").network


def finished(opened: Opened) -> None:
    """Wait until all pixels are drawn."""
    opened.driver.execute_async_script(
        f"const wait = () => {EXHIBIT}.finished ? arguments[0]() : setTimeout(wait, 20); wait()"
    )
    opened.settle()


def floats(opened: Opened, expression: str) -> np.ndarray:
    return np.array(opened.js(f"return Array.from({expression})"), dtype=np.float32)


@pytest.mark.parametrize(
    ("model", "dataset", "mask"),
    [
        pytest.param("pixelcnn", "fake_binary", "top", marks=pytest.mark.slow),
        ("pixelcnn", "fake_images", "top"),
        ("pixelrnn_row", "fake_binary", "centre"),
        pytest.param("pixelrnn_row", "fake_images", "top", marks=pytest.mark.slow),
        ("pixelrnn_diagonal", "fake_binary", "top"),
        pytest.param("pixelrnn_diagonal", "fake_images", "centre", marks=pytest.mark.slow),
        ("pixelrnn_multiscale", "fake_images", "top"),
        pytest.param("pixelrnn_multiscale", "fake_binary", "centre", marks=pytest.mark.slow),
    ],
)
def test_a_completion_is_torchs_from_the_same_noise(
    model: str, dataset: str, mask: str, driver: Any, tmp_path: Path
) -> None:
    opened, network = opened_run(driver, tmp_path, model, f"dataset={dataset}")
    channels, height, width = network.shape
    length, copies = height * width * channels, 6
    finished(opened)
    opened.js(f"const it = {EXHIBIT}; it.erase('all'); it.source.advance({2 * width + 3})")  # and given up there
    x = torch.tensor(floats(opened, f"{EXHIBIT}.image")).view(1, height, width, channels).permute(0, 3, 1, 2)
    left = known(mask, height, width)[None]
    noise = torch.rand(copies, channels, height, width, generator=torch.Generator().manual_seed(0))
    by_pixel = noise.permute(2, 3, 0, 1)[~left[0, 0]]  # pixels, copies, channels
    if isinstance(network, MultiScale):  # stably, so that rows stay in order within either image
        small = torch.zeros(height, width, dtype=torch.bool)
        small[:: network.stride, :: network.stride] = True
        by_pixel = by_pixel[torch.argsort(~small[~left[0, 0]], stable=True)]
    in_order = by_pixel.flatten().tolist()
    opened.js(f"{EXHIBIT}.erase('{mask}', {{ noise: arguments[0], atOnce: true }})", in_order)
    many = x.expand(copies, -1, -1, -1)
    with torch.no_grad():
        *_, drawn = network.pixel_by_pixel(many, left.expand(copies, -1, -1, -1), noise=noise)
        expected, nats = network.next_pixel(drawn)
    for copy in range(copies):
        for name, values in (("x", drawn), ("expected", expected), ("nats", nats)):
            truth = values[copy].permute(1, 2, 0).flatten()
            np.testing.assert_allclose(floats(opened, f"{EXHIBIT}.source.copies[{copy}].{name}"), truth, atol=2e-5)

    for row, column in ((height - 2, width // 2), (height - 1, width // 2)):  # one of a small image, one of the others
        image = drawn[:1].clone().requires_grad_()
        if network.levels == 2:
            network(image)[:, :, row, column].sum().backward()
        else:
            network.next_pixel(image)[0][:, :, row, column].sum().backward()
        assert image.grad is not None
        own = floats(opened, f"{EXHIBIT}.source.dependence(0, {row}, {column}).influence")
        np.testing.assert_allclose(own, image.grad[0].sum(0).flatten(), atol=1e-4 * float(image.grad.abs().max()))
        field = floats(opened, f"{EXHIBIT}.source.dependence(0, {row}, {column}).field")
        assert len(own) * channels == length
        assert not np.any((own != 0) & (field == 0))
        if model in ("pixelrnn_row", "pixelrnn_diagonal"):  # nothing is rectified between an LSTM and the image
            np.testing.assert_array_equal(field > 0, (image.grad[0] != 0).any(0).flatten())
    opened.check_sound(1e-5)


def test_a_diagonal_network_sees_all_earlier_pixels_and_a_row_network_a_triangle(driver: Any, tmp_path: Path) -> None:
    size = "dataset.image_size=[12,15]"
    opened, _ = opened_run(driver, tmp_path, "pixelrnn_diagonal", size)
    field = floats(opened, f"{EXHIBIT}.source.dependence(0, 9, 3).field").reshape(12, 15)
    order = np.arange(12 * 15).reshape(12, 15)
    np.testing.assert_array_equal(field > 0, order < order[9, 3])
    (tmp_path / "row").mkdir()
    opened, _ = opened_run(driver, tmp_path / "row", "pixelrnn_row", size, "model.network.depth=1")
    field = floats(opened, f"{EXHIBIT}.source.dependence(0, 9, 7).field").reshape(12, 15)
    rows, columns = np.indices((12, 15))
    up = 9 - rows  # so many rows up, states are seen as far to either side, inputs 1 further to the left, and from
    # these the first convolution looks 3 to the left and, to pixels above, 3 to the right
    triangle = (columns >= 7 - up - 1 - 3) & (columns <= 7 + (up - 1) + 3)
    np.testing.assert_array_equal(field > 0, triangle & (order < order[9, 7]))


@pytest.mark.parametrize("model", ["pixelcnn", pytest.param("pixelrnn_diagonal", marks=pytest.mark.slow)])
def test_controls_change_what_they_should(model: str, driver: Any, tmp_path: Path) -> None:
    opened, _ = opened_run(driver, tmp_path, model)
    finished(opened)
    assert opened.changes(part("input"), lambda: opened.drag(part("input"), (0.1, 0.1), (0.9, 0.1)))
    assert opened.js(f"return {EXHIBIT}.known.some((value) => !value)")
    finished(opened)
    before = floats(opened, f"{EXHIBIT}.source.copies[0].x")
    opened.click("[data-exhibit=pixels] [value=all]")
    finished(opened)
    assert not floats(opened, f"{EXHIBIT}.known").any()
    assert np.any(before != floats(opened, f"{EXHIBIT}.source.copies[0].x"))
    assert opened.changes(part("map"), lambda: opened.click("[data-exhibit=pixels] [value=bits]"))
    assert opened.changes(part("map"), lambda: opened.click(f"{part('completions')} .cell:nth-child(2)"))
    assert opened.changes(part("field"), lambda: opened.drag(part("map"), (0.5, 0.9), (0.2, 0.6)))
    assert opened.changes(part("pixel"), lambda: opened.drag(part("field"), (0.1, 0.1), (0.7, 0.8)))
    opened.click("[data-exhibit=pixels] [value=none]")
    assert floats(opened, f"{EXHIBIT}.known").all()
    assert opened.changes(part("input"), lambda: opened.click(f"{part('thumbs')} .thumb:nth-child(2)"))
    finished(opened)
    opened.check_sound()


@pytest.mark.parametrize("model", ["pixelrnn_diagonal", pytest.param("pixelrnn_multiscale", marks=pytest.mark.slow)])
def test_what_is_too_heavy_is_made_beforehand(
    model: str, driver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalian_exp.exhibits.pixels.live.PRODUCTS", 0)
    opened, network = opened_run(driver, tmp_path, model)
    channels, height, width = network.shape
    finished(opened)
    opened.click("[data-exhibit=pixels] [value=none]")
    x = torch.tensor(floats(opened, f"{EXHIBIT}.image")).view(1, height, width, channels).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected, nats = network.next_pixel(x)
    for name, values, tolerance in (("expected", expected, 0.5 / 255 + 1e-3), ("nats", nats, 4e-3)):
        truth = values[0].permute(1, 2, 0).flatten()
        np.testing.assert_allclose(floats(opened, f"{EXHIBIT}.source.copies[0].{name}"), truth, atol=tolerance)
    opened.click("[data-exhibit=pixels] [value=centre]")
    finished(opened)
    left = known("centre", height, width).flatten().numpy()
    np.testing.assert_array_equal(floats(opened, f"{EXHIBIT}.known") > 0, left)
    drawn = floats(opened, f"{EXHIBIT}.source.copies[1].x").reshape(height * width, channels)
    given = x[0].permute(1, 2, 0).flatten(0, 1).numpy()
    np.testing.assert_allclose(drawn[left], given[left], atol=1e-2)
    assert opened.changes(part("field"), lambda: opened.drag(part("field"), (0.1, 0.9), (0.9, 0.9)))
    assert opened.changes(part("map"), lambda: opened.click("[data-exhibit=pixels] [value=bits]"))
    opened.check_sound()


@pytest.mark.parametrize("layer", [RowLSTM, DiagonalBiLSTM])
def test_networks_for_small_images_run_on_the_page(layer: Any) -> None:
    paper = partial(PixelRNN, layer=layer, features=16, depth=7)
    assert is_live(paper(1, (28, 28), 2))
    assert is_live(paper(1, (28, 28), 256))
    assert not is_live(paper(1, (64, 64), 2))
    assert not is_live(paper(1, (28, 28), 2, features=64))
    assert is_live(MultiScale(1, (28, 28), 2, partial(PixelRNN, layer=layer, features=16, depth=2)))
    assert not is_live(MultiScale(1, (28, 28), 2, partial(PixelRNN, layer=layer, features=32, depth=7)))


def test_gradients_are_differences_and_a_small_image_is_drawn_first() -> None:
    torch.manual_seed(0)
    network = PixelCNN(1, (5, 6), 2, features=3, depth=1, head_features=3).double()
    x = torch.rand(1, 1, 5, 6, dtype=torch.float64)

    def expected(pixels: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(network(pixels))[0, 0, 4, 3]

    gradient, step = influence(network, x, 4, 3)[0], 1e-6
    for row, column in ((3, 3), (4, 2), (2, 5), (4, 4)):
        more = x.clone()
        more[0, 0, row, column] += step
        with torch.no_grad():
            assert float(gradient[row, column]) == pytest.approx(float(expected(more) - expected(x)) / step, abs=1e-5)
    two = MultiScale(1, (4, 4), 2, partial(PixelCNN, features=2, depth=1, head_features=2), stride=2)
    assert order(two).tolist() == [[0, 2, 0, 2], [3, 3, 3, 3], [1, 4, 1, 4], [5, 5, 5, 5]]

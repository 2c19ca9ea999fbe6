"""A sweep's plots of cost against result name each point, and say what their axes and lines are."""

import itertools
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from scalian_exp.figures.sweep import sweep_figure, trade_off

CLOSE = [(0.153, 7.774), (0.159, 7.815), (0.226, 7.699), (0.269, 7.713), (0.2625, 8.399), (0.2738, 8.375)]


@pytest.mark.parametrize("points", [CLOSE, [(x * 0.01, 1 + 0.02 * x) for x in range(6)]])
def test_names_cover_neither_points_nor_each_other(points: list[tuple[float, float]]) -> None:
    table: list[dict[str, Any]] = [
        {"seconds_per_epoch": x, "test/psnr": y, "loss": f"{number}, mse"} for number, (x, y) in enumerate(points)
    ]
    figure = trade_off(table, ["loss"], "test/psnr", "seconds_per_epoch")
    assert figure is not None
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training, seconds per epoch", "test/psnr, dB")
    FigureCanvasAgg(figure).draw()
    boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert list(boxes) == [row["loss"] for row in table]
    for one, other in itertools.combinations(boxes, 2):
        assert not boxes[one].overlaps(boxes[other]), (one, other)
    for x, y in axes.transData.transform(points):
        assert not any(box.contains(x, y) for box in boxes.values())
    assert all(axes.bbox.contains(*corner) for box in boxes.values() for corner in box.corners())


@pytest.mark.parametrize(("deviation", "said"), [(0.5, True), (0.0, False)])
def test_lines_on_bars_are_explained(deviation: float, said: bool) -> None:
    table = [{"loss": name, "test/x": 1.0 + len(name), "test/x ±": deviation} for name in ("bce", "l1")]
    figure = sweep_figure(table, ["loss"], ["test/x"])
    assert figure is not None
    assert figure.get_suptitle() == "test/x over loss" + ("; black lines: ± one standard deviation" if said else "")

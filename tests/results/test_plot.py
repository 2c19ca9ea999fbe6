"""The line plots of the report page."""

from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from scalian_exp.results.plot import HEIGHT, WIDTH, Line, plot, style, ticks


@pytest.mark.parametrize(
    ("low", "high", "integer", "expected"),
    [
        (0, 10, False, [0, 2, 4, 6, 8, 10]),
        (0.0, 0.5, False, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (-3, 4, False, [-2, 0, 2, 4]),
        (96.1, 231.9, False, [100, 150, 200]),
        (1, 3, True, [1, 2, 3]),
        (1, 50, True, [10, 20, 30, 40, 50]),
        (7, 7, False, [7]),
    ],
)
def test_ticks_are_round_numbers_inside_the_axis(low: float, high: float, integer: bool, expected: list[float]) -> None:
    assert ticks(low, high, integer) == pytest.approx(expected)


def test_points_lie_at_the_positions_of_their_values() -> None:
    lines = [Line("a <b>", style(0), [(1, 5.0), (2, float("nan")), (3, 15.0)]), Line("c", style(1), [(2, 10.0)])]
    root = ElementTree.fromstring(plot("val/loss", lines))  # well-formed, whatever names hold
    first, second = [
        [tuple(map(float, p.split(","))) for p in e.get("points", "").split()] for e in root.iter("polyline")
    ]
    (left, bottom), (right, top) = first
    assert 0 < left < right < WIDTH
    assert 0 < top < bottom < HEIGHT  # an SVG's y points down
    assert second == [pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=0.1)]
    assert "a <b>" in [title.text for title in root.iter("title")]


def test_a_plot_of_nothing_finite_is_empty() -> None:
    root = ElementTree.fromstring(plot("loss", [Line("a", style(0), [(1, float("inf"))])]))
    assert [line.get("points") for line in root.iter("polyline")] == [""]


def test_thirty_lines_look_different() -> None:
    assert len({style(number) for number in range(30)}) == 30
    assert isinstance(style(0), Markup)

"""The report page of a short sweep over two keys, on a phone above all: names, menu, axes and their labels."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reported import Report, watched, write_runs
from tools import needs_browser

from scalian_exp.results.page import page

PHONE, SHORT = 390, 3
SEEN = "const seen = (e) => { const b = e.getBoundingClientRect(); return b.left >= 0 && b.right <= innerWidth; };"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a sweep of three epochs over two keys with long names."""
    folder = tmp_path_factory.mktemp("report")
    runs = write_runs(folder / "sweep")[:5]
    for run in runs:
        overrides, curves = run / ".hydra/overrides.yaml", run / "csv/metrics.csv"
        overrides.write_text(overrides.read_text().replace("seed=", "model.network.latent_dim=10"))
        curves.write_text("".join(curves.read_text().splitlines(keepends=True)[: 1 + 3 * SHORT]))
    (folder / "report.html").write_text(page(runs, "sweep"), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture
def report(driver: Any, written: Path) -> Iterator[Report]:
    """Open the page as wide as a phone, in a browser that remembers nothing."""
    with watched(driver, written) as opened:
        yield opened.open(width=PHONE)


def shot(report: Report, box: dict[str, float]) -> str:
    """Return a picture of a part of the page."""
    taken = report.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": {**box, "scale": 2}})
    return str(taken["data"])


@needs_browser
def test_what_tells_runs_apart_is_readable(report: Report) -> None:
    assert report.texts(".sortable tbody th")[:2] == ["beta=0.5, latent_dim=100", "beta=0.5, latent_dim=101"]
    clipped = "return [...document.querySelectorAll('.sortable tbody th')].filter((e) => e.scrollWidth > e.clientWidth)"
    assert not report.js(clipped)
    assert report.js(SEEN + "return [...document.querySelectorAll('.sortable tbody th')].every(seen)")
    report.js("document.querySelector('.sortable label').lastChild.data = 'x'.repeat(300)")
    assert not report.js(clipped)
    assert report.js("return document.querySelector('.sortable th').offsetWidth < 0.7 * innerWidth")


@needs_browser
def test_every_section_is_in_sight_in_the_menu(report: Report) -> None:
    hidden = report.js(
        """
        const top = (e) => {
          const box = e.getBoundingClientRect();
          const ends = [box.left + 3, box.right - 3], y = box.y + box.height / 2;
          return ends.every((x) => e.contains(document.elementFromPoint(x, y)));
        };
        return [...document.querySelectorAll(".bar :is(a, button)")].filter((e) => !top(e)).map((e) => e.innerText);
        """
    )
    assert not hidden
    room = "parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop)"
    assert report.js(f"return {room} >= document.querySelector('.bar').offsetHeight")


@needs_browser
def test_the_first_metric_is_in_sight_beside_two_swept_keys(report: Report) -> None:
    names = report.js(
        SEEN + "return [...document.querySelectorAll('.axis-name')].filter(seen).map((name) => name.firstChild.data)"
    )
    assert names[:3] == ["loss.beta", "…latent_dim", "…val/neg_elbo"]
    size = {"width": 1400, "height": 6000, "deviceScaleFactor": 1, "mobile": False}
    report.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)  # as if the phone were turned
    report.settle()
    wide = report.js("return [...document.querySelectorAll('.axis-name')].map((name) => name.firstChild.data)")
    assert wide[:3] == ["loss.beta", "model.network.latent_dim", "best val/neg_elbo"]


@needs_browser
@pytest.mark.parametrize("width", [PHONE, 1400])
def test_no_line_runs_through_a_label_of_an_axis(report: Report, width: int) -> None:
    report.open("dark", width)
    boxes = report.js(
        """
        return [...document.querySelectorAll("[data-part=lines] .mark")].map((e) => {
          const { x, y, width, height } = e.getBoundingClientRect();
          return { x: x + scrollX, y: y + scrollY, width, height };
        }).filter(({ x, width }) => x + width < innerWidth - 40);
        """
    )
    assert len(boxes) > 6
    drawn = [shot(report, box) for box in boxes]
    report.js("for (const line of document.querySelectorAll('[data-part=lines] .line')) line.remove()")
    report.settle()
    assert [shot(report, box) for box in boxes] == drawn
    assert len({base64.b64decode(picture) for picture in drawn}) > 3  # they do show labels


@needs_browser
def test_epochs_and_steps_are_whole_numbers(report: Report) -> None:
    ticks = (
        "const { charts } = report; return Object.fromEntries(Object.entries(charts).map(([k, c]) => [k, c.x.ticks]))"
    )
    assert report.js(ticks) == {"val/neg_elbo": [1, 2, 3], "train/loss": [1, 2, 3], "step/loss": [1, 2]}
    report.js("report.charts['val/neg_elbo'].zoom([1.8, 2.9]); report.charts['step/loss'].zoom([1.1, 1.9])")
    zoomed = report.js(ticks)
    assert zoomed["val/neg_elbo"] == [2]
    assert zoomed["step/loss"] == pytest.approx([1.2, 1.4, 1.6, 1.8])  # its points lie within epochs
    report.click("[data-choice=over] [value=steps]")
    assert all(tick == int(tick) for places in report.js(ticks).values() for tick in places)


@needs_browser
def test_whole_values_have_whole_marks(report: Report) -> None:
    assert "100.5" not in report.texts("[data-part=lines] .mark")
    assert {"100", "101"} <= {*report.texts("[data-part=lines] .mark")}


@needs_browser
def test_names_that_are_too_long_keep_what_tells_them_apart(report: Report) -> None:
    def shortened(*names: str) -> Any:
        return report.js("return arguments[0].map((name) => report.shortened(name, 9))", names)

    assert shortened("short", "nine_long", "roads_of_2024", "roads_of_2025") == [
        *("short", "nine_long", "road…2024", "road…2025")
    ]
    names = ["loss.beta", "model.network.latent_dim", "network.encoder.hidden", "a_name_without_dots"]
    assert report.js("return arguments[0].map((name) => report.ending(name, 15))", names) == [
        *("loss.beta", "…latent_dim", "…encoder.hidden", "…e_without_dots")
    ]

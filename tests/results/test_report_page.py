"""The report page in a browser: what can be sorted, folded, hovered, smoothed, zoomed, switched and compared."""

import base64
import html
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import command
from reported import EPOCHS, Report, value, watched, write_runs
from tools import needs_browser


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of six jobs, one of which failed."""
    folder = tmp_path_factory.mktemp("report") / "sweep"
    write_runs(folder)
    result = command(str(folder), cwd=folder.parent, module="report")
    assert result.returncode == 0, result.stderr
    return folder / "report.html"


@pytest.fixture
def report(driver: Any, written: Path) -> Iterator[Report]:
    """Open the page in a browser that remembers nothing."""
    with watched(driver, written) as opened:
        yield opened


def test_the_page_loads_nothing_from_elsewhere(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:src|href)=\"([^\"#]*)", text)) <= {""}
    assert "default-src &#39;none&#39;" in text
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "out of &lt;memory&gt;" in text


def test_every_command_can_be_pasted(written: Path) -> None:
    shown = [shlex.split(html.unescape(line)) for line in re.findall("<code>(.*?)</code>", written.read_text())]
    assert len(shown) == 5 * 3 + 1  # the failed job can only be trained again
    again, evaluated, resumed = shown[:3]
    assert again[1:] == ["model=vae", "loss.beta=0.5", "seed=0"]
    assert evaluated[1:] == ["run=sweep/0_loss.beta-0.5_seed-0", "action=evaluate"]
    assert resumed[1:] == ["resume=sweep/0_loss.beta-0.5_seed-0", f"trainer.max_epochs={2 * EPOCHS}"]


@needs_browser
def test_cards_show_the_best_mean_with_its_deviation(report: Report) -> None:
    (card,) = [text for text in report.texts(".card") if text.startswith("neg_elbo")]
    assert [line for line in card.split("\n")[1:] if line] == [
        "98.5 ± 0.71",
        "mean of 2 runs over seed; lowest of 3",
        "loss.beta=1",
    ]


@needs_browser
def test_the_table_is_sorted_and_remembers_it(report: Report) -> None:
    def order() -> list[str]:
        return report.texts(".sortable tbody th")

    assert order()[0] == "beta=0.5, seed=0"
    report.click("[data-sort='test/neg_elbo']")
    best = ["beta=1, seed=0", "beta=1, seed=1", "beta=0.5, seed=0", "beta=0.5, seed=1", "beta=4, seed=0"]
    assert order() == [*best, "beta=4, seed=1"]  # without a value, last
    report.click("[data-sort='test/neg_elbo']")
    assert order() == [*best[::-1], "beta=4, seed=1"]
    report.reload()
    assert order() == [*best[::-1], "beta=4, seed=1"]
    assert report.js("return document.querySelector('[aria-sort=descending]').innerText.trim()").startswith("neg_elbo")


@needs_browser
def test_columns_fold_and_remember_it(report: Report) -> None:
    def heads() -> list[str]:
        return [text.removesuffix(" ↕") for text in report.texts(".sortable thead th")]

    assert "parameters" not in heads()  # all runs have as many
    assert "status" in heads()  # one run failed
    for column in ("parameters", "status"):
        report.click(f".columns input[value='{column}']")
    assert "parameters" in heads()
    assert "status" not in heads()
    report.reload()
    assert "parameters" in heads()
    assert "status" not in heads()


@needs_browser
def test_the_page_works_where_storage_is_denied(report: Report, driver: Any) -> None:
    denied = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied'); } })"
    identifier = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": denied})["identifier"]
    try:
        report.open()
        report.click("[data-sort='test/neg_elbo']")
        assert report.texts(".sortable tbody th")[0] == "beta=1, seed=0"
        report.click("[data-choice=theme] [value=dark]")
        assert report.js("return document.documentElement.dataset.theme") == "dark"
        assert len(report.texts(".plots figure")) == 3
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier})


@needs_browser
def test_smoothing_is_the_debiased_moving_average(report: Report) -> None:
    weight, values = 0.6, [value(0.5, 0, epoch) for epoch in range(1, EPOCHS + 1)]
    expected = [
        sum(weight ** (n - i) * values[i] for i in range(n + 1)) / sum(weight**k for k in range(n + 1))
        for n in range(EPOCHS)
    ]
    assert report.js("return report.charts['val/neg_elbo'].lines[0].ys") == pytest.approx(values, rel=1e-5)
    report.enter("[data-part=smoothing]", weight)
    assert report.js("return report.charts['val/neg_elbo'].lines[0].ys") == pytest.approx(expected, rel=1e-5)
    assert report.js("return report.charts['val/neg_elbo'].svg.querySelectorAll('.raw').length") == 5
    report.reload()
    assert report.js("return report.charts['val/neg_elbo'].lines[0].ys") == pytest.approx(
        expected, rel=1e-5
    )  # remembered


@needs_browser
def test_a_run_that_is_switched_off_is_nowhere_below(report: Report) -> None:
    report.click("tr[data-run='1'] input")
    for chart in ("val/neg_elbo", "train/loss", "step/loss"):
        assert report.js("return Object.keys(report.charts[arguments[0]].paths)", chart) == ["0", "2", "3", "4"]
    assert report.js("return document.querySelectorAll('.dot').length") == 4
    assert len(report.texts(".pictures figure")) == 4
    assert report.texts("[data-part=count]") == ["5 of 6 runs are shown below"]
    report.enter("[data-part=filter]", "beta=4")
    assert report.js("return Object.keys(report.charts['train/loss'].paths)") == ["4"]


@needs_browser
def test_hovering_and_arrow_keys_read_the_values(report: Report) -> None:
    x, y = report.js("const c = report.charts['val/neg_elbo']; return [c.x(3), c.y(arguments[0])]", value(4, 0, 3))
    report.point("pointermove", x + 3, y)
    lines = report.texts(".plots figure:first-child .tip p")
    assert lines[0] == "3 epochs"
    assert lines[1].split("\n") == ["beta=4, seed=0", f"{value(4, 0, 3):.5g}"]  # the highest
    assert report.js("return document.querySelector('.tip .near').innerText").startswith("beta=4, seed=0")
    assert report.js("return document.querySelector('tr.brought').dataset.run") == "4"
    report.press("ArrowRight")
    spoken = report.js("return document.querySelector('[data-part=spoken]').textContent")
    assert spoken.startswith("val/neg_elbo after 4 epochs")
    assert f"beta=0.5, seed=1 {value(0.5, 1, 4):.5g}" in spoken


@needs_browser
def test_dragging_zooms_and_escape_shows_all(report: Report) -> None:
    def window() -> Any:
        return report.js("return report.charts['val/neg_elbo'].x.range")

    assert window() == [1, EPOCHS]
    start, end = report.js("const { x } = report.charts['val/neg_elbo']; return [x(2), x(4)]")
    for kind, x in (("pointerdown", start), ("pointermove", end), ("pointerup", end)):
        report.point(kind, x)
    assert window() == pytest.approx([2, 4], abs=0.05)
    shown = [value(beta, 0, epoch) for beta in (0.5, 4) for epoch in (2, 3, 4)]
    low, high = report.js("return report.charts['val/neg_elbo'].y.range")
    assert low < min(shown) < max(shown) < high < value(4, 0, 1)
    report.press("Escape")
    assert window() == [1, EPOCHS]
    report.click("[data-choice=over] [value=minutes]")
    assert window() == pytest.approx([1 / 60, EPOCHS * 3 / 60])


@needs_browser
def test_one_slider_shows_the_figures_of_all_runs_after_an_epoch(report: Report, written: Path) -> None:
    jobs = sorted(path for path in written.parent.iterdir() if (path / "figures").exists())
    for position, epoch in enumerate((2, 4, 6)):
        report.enter("[data-part=epoch]", position)
        urls = report.js("return [...document.querySelectorAll('.pictures img')].map((image) => image.src)")
        files = [(job / f"figures/epoch_{epoch:04d}/val_samples.png").read_bytes() for job in jobs]
        assert [base64.b64decode(url.partition(",")[2]) for url in urls] == files
        assert report.texts(".pictures .when") == [f"after {epoch} epochs"] * 5
    report.enter("[data-part=kind]", 1, "change")
    assert report.texts(".pictures .when") == ["at the end"] * 5
    assert report.js("return document.querySelector('[data-part=by-epoch]').hidden")
    assert report.js(
        "return [...document.querySelectorAll('.pictures img')].every((image) => image.naturalWidth === 8)"
    )


@needs_browser
def test_values_of_configs_select_their_runs(report: Report) -> None:
    assert report.texts(".differences tbody th") == ["loss.beta", "seed"]
    assert report.texts(".differences tr:nth-child(1) .value") == ["0.5 2", "1.0 2", "4.0 1"]
    report.click(".differences tr:nth-child(1) .value:nth-child(2)")
    assert report.js("return [...report.on]") == [2, 3]
    report.click("[data-do=all]")
    assert len(report.js("return [...report.on]")) == 6


@needs_browser
def test_parallel_coordinates_keep_the_runs_of_a_range(report: Report) -> None:
    names = report.js("return [...document.querySelectorAll('.axis-name')].map((name) => name.firstChild.data)")
    assert names == ["loss.beta", "best val/neg_elbo", "neg_elbo"]
    assert report.js("return document.querySelectorAll('[data-part=lines] .line').length") == 5
    report.js(
        """
        const handle = document.querySelector("[data-axis='loss.beta']"), box = handle.getBoundingClientRect();
        handle.setPointerCapture = () => {};
        const fire = (kind, share) => {
          const at = { clientX: box.left, clientY: box.top + share * box.height };
          handle.dispatchEvent(new PointerEvent(kind, { bubbles: true, ...at }));
        };
        fire("pointerdown", 0);
        fire("pointermove", 0.3);
        fire("pointerup", 0.3);
        """
    )
    faint = report.js("return [...document.querySelectorAll('.line.faint')].map((line) => Number(line.dataset.run))")
    assert faint == [0, 1, 2, 3]  # the upper end of the axis is β = 4


@needs_browser
def test_the_front_of_quality_against_cost_has_what_no_other_beats(report: Report) -> None:
    points = [{"x": 1, "y": 5}, {"x": 2, "y": 7}, {"x": 3, "y": 4}, {"x": 3, "y": 3}, {"x": 4, "y": 3}]
    assert report.js("return report.front(arguments[0], -1)", points) == [points[0], points[3]]
    assert report.js("return report.front(arguments[0], 1)", points) == [points[0], points[1]]
    assert report.js("return document.querySelector('.front').getAttribute('d').split('L').length") == 2  # β = 0.5, 1


@needs_browser
@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 390), ("dark", 1400)])
def test_the_page_fits_and_can_be_read(report: Report, theme: str, width: int) -> None:
    report.open(theme, width)
    assert report.js("return document.documentElement.scrollWidth") == width
    unnamed = report.js(
        """
        const named = (e) => e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim() || e.textContent.trim();
        return [...document.querySelectorAll("button, input, select, [role=application], [role=region]")]
          .filter((e) => !named(e) && !e.getAttribute("aria-labelledby")).map((e) => e.outerHTML);
        """
    )
    assert not unnamed
    text = report.js("return document.body.innerText")
    assert not any(gap in text for gap in ("undefined", "NaN", "[object"))

"""What a class needs of the course's page: projection, a phone, paper, and no words too many for a screen reader."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from pages import OpenedPage
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from tools import needs_browser, tiny

from scalian_exp.course.build import Course
from scalian_exp.course.chapter import described
from scalian_exp.run.training import train

pytestmark = needs_browser
CHAPTER = """
order: 1
shows:
  - { exhibit: masks, runs: unet }
  - { comparison: scenes, runs: { segnet: SegNet, unet: U-Net } }
  - { comparison: pairs, runs: { pcd: PCD } }
  - comparison: plot
    x: { fr: taille, en: size }
    y: { fr: valeur, en: value }
    series:
      - { fr: l'une, en: one, runs: { unet: "", segnet: "" }, x: parameters, y: pixels }
      - { fr: l'autre, en: other, runs: { unet: "", segnet: "" }, x: parameters, y: test.miou }
  - comparison: plot
    x: { fr: paramètres, en: parameters }
    y: { fr: IoU, en: IoU }
    pictures: masks
    series: [{ fr: réseaux, en: networks, runs: { unet: U-Net }, x: parameters, y: parameters }]
  - comparison: table
    runs: { unet: U-Net, pcd: PCD }
    columns:
      - { fr: paramètres, en: parameters, path: parameters }
      - { fr: IoU, en: IoU, path: test.miou }
      - { fr: données, en: data, path: dataset, kind: data }
commands: []
short: { fr: Classe, en: Class }
title: { fr: Classe, en: Class }
lead: { fr: Regardez, en: Look }
tries: { fr: [essayez], en: [try] }
"""
SMALLEST = """
  const own = (e) => [...e.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
  const read = (e) => own(e) && e.checkVisibility() && !e.closest("svg, math, .away");
  const texts = [...document.querySelectorAll("article.projected *")].filter(read);
  return Math.min(...texts.map((e) => parseFloat(getComputedStyle(e).fontSize) * e.currentCSSZoom));
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with a chapter, and without another one, whose last plot has no point."""
    folder = tmp_path_factory.mktemp("runs")
    for name, model in {"unet": "unet", "segnet": "segnet", "pcd": "rbm"}.items():
        train(tiny(model), folder / name)
    (folder / "class.yaml").write_text(CHAPTER, encoding="utf-8")
    refused = CHAPTER.replace("exhibit: masks", "exhibit: filters").replace("y: parameters", "y: nothing")
    (folder / "refused.yaml").write_text(refused, encoding="utf-8")
    page, left_out = Course(folder).html([described(folder / f"{name}.yaml") for name in ("class", "refused")])
    assert list(left_out) == ["refused"]
    return page


@pytest.fixture
def opened(html: str, driver: Any, tmp_path: Path) -> OpenedPage:
    return OpenedPage(driver, html, tmp_path / "index.html")


@pytest.fixture
def screen(driver: Any) -> Iterator[None]:
    """The driver with a projector's screen."""
    size = {"width": 1920, "height": 1080, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.usefixtures("screen")
def test_all_that_is_projected_can_be_read_from_the_last_row(opened: OpenedPage) -> None:
    kinds = opened.js("return page.screens.map(({ show }) => show.querySelector('[data-kind]').dataset.kind)")
    assert kinds == ["masks", "masks", "scenes", "pairs", "pairs", "plot", "plot", "table"]
    for number, kind in enumerate(kinds):
        opened.driver.execute_async_script("page.project(arguments[0]).then(arguments[1])", number)
        assert opened.js(SMALLEST) >= 24, kind
        assert opened.js("return document.documentElement.scrollHeight <= innerHeight + 8"), kind
        exhibit = "return document.querySelector('.show.projected').getBoundingClientRect().top + 1"
        bar = "return document.querySelector('.bar').getBoundingClientRect().bottom"
        assert opened.js(bar) <= opened.js(exhibit), kind
    opened.js("page.project(-1)")


@pytest.mark.usefixtures("screen")
def test_keys_project_go_on_and_end(opened: OpenedPage) -> None:
    def seen(_: object) -> tuple[str, bool]:
        shown = opened.js("return document.documentElement.hasAttribute('data-projecting')")
        screen = str(opened.js("return document.querySelector('[data-part=screen]').textContent")) if shown else "page"
        return screen, opened.js("return document.querySelector('.answers').checkVisibility()")

    for key, screen, answers in (
        ("p", "1 / 8", False),
        (Keys.PAGE_DOWN, "2 / 8", True),
        (Keys.PAGE_UP, "1 / 8", False),
        (Keys.ESCAPE, "page", True),
    ):
        ActionChains(opened.driver).send_keys(key).perform()
        WebDriverWait(opened.driver, 30, 0.02).until(lambda page, state=(screen, answers): seen(page) == state, key)
    assert opened.js("return document.querySelector('.masks').checkVisibility()") is True


def test_a_phone_reads_tables_as_cards_and_fingers_find_controls(opened: OpenedPage) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    opened.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    opened.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        opened.settle()
        assert opened.js("return document.documentElement.scrollWidth <= 390")
        region = "const r = document.querySelector('[data-kind=table] [role=region]'); "
        assert opened.js(f"{region} return r.scrollWidth <= r.clientWidth")
        card = opened.js(f"{region} return r.querySelector('tbody tr').innerText").split("\n")
        assert card[0] == "U-Net"
        assert {"parameters", "IoU", "data"} <= set(card)
        assert "IoU" not in opened.js(f"{region} return r.querySelector('tbody tr:last-child').innerText"), (
            "no empty line"
        )
        small = opened.js(
            """
            return [...document.querySelectorAll("button, input, summary")].filter((e) => e.checkVisibility())
              .filter((e) => Math.min(e.offsetHeight, e.offsetWidth) < 40).map((e) => e.outerHTML);
            """
        )
        assert not small, small
    finally:
        opened.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        opened.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_plot_tells_all_curves_at_a_point_and_shows_masks_in_the_scenes_colours(opened: OpenedPage) -> None:
    opened.js("page.live['class-3'].exhibit.hold(0)")
    told = opened.js("return document.querySelector('[data-exhibit=class-3] [data-part=readout]').textContent")
    assert re.match(r"size: [\d,]+ — value: one \(", told)
    assert "; other (" in told
    dashes = opened.js(
        """
        const lines = document.querySelectorAll("[data-exhibit=class-3] .keys .line");
        return [...lines].map((line) => line.getAttribute("stroke-dasharray"));
        """
    )
    assert len(set(dashes)) == 2
    colours = """
      const context = document.querySelector(arguments[0]).getContext("2d"), all = new Set();
      const { data } = context.getImageData(0, 0, 16, 16);
      for (let i = 0; i < data.length; i += 4) all.add(data.slice(i, i + 3).join());
      return [...all].sort();
    """
    palette = opened.js(
        """
        const probe = document.body.appendChild(document.createElement("i"));
        return Array.from({ length: 11 }, (_, k) => {
          probe.style.color = `var(--class-${k})`;
          return getComputedStyle(probe).color.match(/\\d+/g).join();
        });
        """
    )
    assert set(opened.js(colours, "[data-exhibit=class-4] [data-part=picture]")) <= set(palette)
    assert set(opened.js(colours, "[data-exhibit=class-1] [data-part=answer]")) <= set(palette)


def test_escape_closes_the_menu_and_the_check_is_said_once(html: str, driver: Any, tmp_path: Path) -> None:
    menu = Markup(
        '<details class="menu" open><summary>Chapters</summary><ol><li><a href="#class">1</a></li></ol></details>'
    )
    start = html.index('<nav aria-labelledby="contents-name">')
    opened = OpenedPage(driver, f"{html[: start + 37]}{menu}{html[start + 37 :]}", tmp_path / "menu.html")
    opened.js("document.querySelector('.menu a').focus()")
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert opened.js("return document.querySelector('.menu').open") is False
    assert opened.js("return document.activeElement.tagName") == "SUMMARY"
    assert (
        opened.js("return document.querySelector('[data-part=checks]').closest('[aria-live], [role=status]')") is None
    )


def test_a_refused_chapter_leaves_no_blocks(html: str) -> None:
    assert 'id="block-unet.masks-about"' in html
    assert "filters" not in {part.split("-about")[0] for part in html.split('id="block-unet.')[1:]}
    assert "refused" not in html


def test_paper_has_no_controls(opened: OpenedPage) -> None:
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for control in (".bar", ".toolbar", "input", ".exhibit .choice"):
            assert not opened.js(
                f"return [...document.querySelectorAll('{control}')].some((e) => e.checkVisibility())"
            ), control
        assert opened.js("return document.querySelector('.masks').checkVisibility()")
        pages = base64.b64decode(opened.driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
        assert pages.startswith(b"%PDF")
    finally:
        opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

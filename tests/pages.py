"""Shared by the tests of exhibits: a page of a run in headless Chromium."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from selenium.webdriver.support.ui import WebDriverWait

from scalian_exp.checkpoint import load
from scalian_exp.exhibits.play import page
from scalian_exp.exhibits.run import Run


def part(exhibit: str, name: str) -> str:
    """Return the selector of a part of an exhibit, which its markup names by data-part."""
    return f"[data-exhibit={exhibit}] [data-part={name}]"


class OpenedPage:
    """A page in a browser, all of its exhibits mounted.

    Args:
        driver: the fixture `driver`.
        html: the page.
        file: where it is written.
    """

    def __init__(self, driver: Any, html: str, file: Path):
        self.driver, self.file = driver, file
        self.file.write_text(html, encoding="utf-8")
        driver.get_log("browser")  # of earlier pages
        self.show("en")

    def show(self, language: str, theme: str = "light") -> None:
        """Open the page anew, and wait until its exhibits live and its programs are compared with torch."""
        self.driver.get(f"{self.file.as_uri()}?lang={language}&theme={theme}")
        WebDriverWait(self.driver, 30, 0.02).until(lambda _: self.js("return typeof page === 'object'"), self.file.name)
        failed = self.driver.execute_async_script(
            """
            const done = arguments[0];
            const programs = ({ used, blocks }) => used.filter((_, n) => Object.values(blocks)[n].program);
            const checked = () => Object.entries(page.live).every(([name, live]) =>
              [...programs(live), ...(live.exhibit?.check ? [name] : [])].every((each) => each in page.deviations));
            const wait = () => checked() ? done(null) : setTimeout(wait, 10);
            page.mountAll().then(wait, (error) => done(error.stack));
            """
        )
        assert failed is None, failed
        self.settle()

    def js(self, script: str, *arguments: Any) -> Any:
        """Run a script and return its value; `page.live[name].exhibit` is what an exhibit returned."""
        return self.driver.execute_script(script, *arguments)

    def settle(self) -> None:
        """Wait until two frames are drawn."""
        self.driver.execute_async_script(
            "const d = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(d))"
        )

    def click(self, selector: str) -> None:
        """Click an element where it is, without scrolling the exhibit under the bar."""
        self.js("document.querySelector(arguments[0]).click()", selector)
        self.settle()

    def enter(self, selector: str, value: Any) -> None:
        """Set a slider, or write a text, as a reader would."""
        self.js(
            """
            const field = document.querySelector(arguments[0]);
            field.value = arguments[1];
            field.dispatchEvent(new Event("input"));
            """,
            selector,
            value,
        )
        self.settle()

    def drag(self, selector: str, *points: tuple[float, float]) -> None:
        """Drag a pointer over an element, through points (x, y) as shares of its width and height."""
        self.js(
            """
            const target = document.querySelector(arguments[0]);
            target.scrollIntoView({ block: "center", behavior: "instant" });
            const box = target.getBoundingClientRect(), fire = (type, [x, y]) => {
              const place = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
              target.dispatchEvent(new PointerEvent(type, { bubbles: true, cancelable: true, pointerId: 1, ...place }));
            };
            target.setPointerCapture = () => {};
            fire("pointerdown", arguments[1][0]);
            for (const point of arguments[1]) fire("pointermove", point);
            fire("pointerup", arguments[1].at(-1));
            """,
            selector,
            [list(point) for point in points],
        )
        self.settle()

    def seen(self, selector: str) -> Any:
        """Return all that can be seen of an element: text, markup, and pixels of each canvas."""
        return self.js(
            """
            const target = document.querySelector(arguments[0]);
            const all = target.matches("canvas") ? [target] : [...target.querySelectorAll("canvas")];
            return target.outerHTML + all.map((canvas) => canvas.toDataURL()).join();
            """,
            selector,
        )

    def still(self, selector: str) -> Any:
        """Return all that can be seen of an element once two frames don't change it: some is drawn bit by bit."""
        before, now = None, self.seen(selector)
        while now != before:
            self.settle()
            before, now = now, self.seen(selector)
        return now

    def changes(self, selector: str, act: Callable[[], None]) -> bool:
        """Return whether an act changes what can be seen of an element."""
        before = self.still(selector)
        act()
        return bool(self.seen(selector) != before)

    def check_sound(self, tolerance: float = 1e-3) -> None:
        """Check what holds for every exhibit.

        It computes what torch does, logs nothing, has texts in both languages without gaps and names for all controls,
        and fits a phone. The English page is checked as it is now, the French one anew and dark.
        """
        deviations = self.js("return page.deviations")
        programs = self.js(
            """
            return Object.values(page.live).flatMap(({ used, blocks }) =>
              used.filter((_, n) => Object.values(blocks)[n].program));
            """
        )
        assert set(programs) <= set(deviations)
        assert all(value < tolerance for value in deviations.values()), deviations
        for language, other in (("en", "fr"), ("fr", "en")):
            if language == "fr":
                self.show("fr", "dark")
            text = self.js("return document.body.innerText")
            assert not any(gap in text for gap in ("undefined", "NaN", "{", "[object")), text
            hidden = (
                "return [...document.querySelectorAll(`body [lang=${arguments[0]}]`)].every((e) => !e.offsetParent)"
            )
            assert self.js(hidden, other)
            nameless = self.js(
                """
                const named = (e) => e.getAttribute("aria-label") || e.innerText || e.closest("label")?.innerText || "";
                return [...document.querySelectorAll("button, [tabindex], input, select, textarea")]
                  .filter((e) => e.checkVisibility() && !named(e).trim()).map((e) => e.outerHTML);
                """
            )
            assert not nameless, nameless
        self.driver.set_window_size(500, 900)  # the least that headless Chromium takes
        self.settle()
        assert self.js("return document.documentElement.scrollWidth <= innerWidth")
        self.driver.set_window_size(1400, 1400)
        logged = self.driver.get_log("browser")
        assert not logged, logged


class Opened(OpenedPage):
    """A run's page in a browser.

    Args:
        driver: the fixture `driver`.
        run: a run folder.
        folder: where the page is written.
    """

    def __init__(self, driver: Any, run: Path, folder: Path):
        with torch.no_grad():
            self.page = page(Run(load(run)))
        super().__init__(driver, self.page.html, folder / "play.html")

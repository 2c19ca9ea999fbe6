"""Shared by the tests of the report page: run folders made by hand, and their page in a browser."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from selenium.webdriver.support.ui import WebDriverWait

BETAS, SEEDS, EPOCHS = (0.5, 1.0, 4.0), (0, 1), 6
NEG_ELBO = {(0.5, 0): 100.0, (0.5, 1): 104.0, (1.0, 0): 98.0, (1.0, 1): 99.0, (4.0, 0): 120.0}
"""test metric of each job; the last one has failed"""
SECONDS = {0.5: 1.0, 1.0: 2.0, 4.0: 3.0}


def value(beta: float, seed: int, epoch: int) -> float:
    """Return the validation metric of a job after an epoch."""
    return 100 + 10 * beta + seed + 50 / epoch + (-1) ** epoch


def colour(job: int, epoch: int) -> tuple[int, int, int]:
    """Return the colour of a job's figure of an epoch."""
    return 20 * job, 10 * epoch, 255


def write_job(folder: Path, number: int, beta: float, seed: int) -> Path:
    """Write the run folder of a job with curves and with figures of epochs 2, 4 and 6."""
    job = folder / f"{number}_loss.beta-{beta:g}_seed-{seed}"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra/overrides.yaml").write_text(yaml.safe_dump(["model=vae", f"loss.beta={beta:g}", f"seed={seed}"]))
    (job / ".hydra/config.yaml").write_text(yaml.safe_dump({"repeats": ["seed"]}))
    if (beta, seed) not in NEG_ELBO:
        (job / "error.txt").write_text("Traceback\nRuntimeError: out of <memory>\n")
        return job
    config: dict[str, Any] = {"model": {"_target_": "tasks.Variational", "network": {"_target_": "networks.DenseVAE"}}}
    config |= {
        "loss": {"_target_": "losses.ELBO", "beta": beta},
        "dataset": {"_target_": "datasets.MNIST"},
        "seed": seed,
    }
    (job / "config.yaml").write_text(yaml.safe_dump(config | {"trainer": {"max_epochs": EPOCHS}}))
    metrics = {"test/neg_elbo": NEG_ELBO[beta, seed], "test/kl": 10 * beta, "test/loss": 1.0, "status": "finished"}
    metrics |= {"monitor": "val/neg_elbo", "best": value(beta, seed, EPOCHS), "epochs": EPOCHS, "parameters": 1000}
    (job / "metrics.json").write_text(json.dumps({**metrics, "seconds_per_epoch": SECONDS[beta]}))
    (job / "csv").mkdir()
    with (job / "csv/metrics.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["epoch", "step", "val/neg_elbo", "train/loss", "step/loss"])
        writer.writeheader()
        for epoch in range(1, EPOCHS + 1):
            writer.writerow({"epoch": epoch - 1, "step": 10 * epoch - 6, "step/loss": 3})
            writer.writerow({"epoch": epoch - 1, "step": 10 * epoch - 1, "val/neg_elbo": value(beta, seed, epoch)})
            writer.writerow({"epoch": epoch - 1, "step": 10 * epoch - 1, "train/loss": 1 / epoch})
    for epoch in (2, 4, 6):
        place = job / f"figures/epoch_{epoch:04d}"
        place.mkdir(parents=True)
        for file in (place / "val_samples.png", job / "figures/val_samples.png"):
            Image.new("RGB", (8, 8), colour(number, epoch)).save(file)
    Image.new("RGB", (8, 8)).save(job / "figures/test_samples.png")
    (job / "checkpoints").mkdir()
    (job / "checkpoints/last.ckpt").touch()
    return job


def write_runs(folder: Path) -> list[Path]:
    """Write a sweep of six jobs over β and the seed, the last of which has failed."""
    pairs = [(beta, seed) for beta in BETAS for seed in SEEDS]
    return [write_job(folder, number, beta, seed) for number, (beta, seed) in enumerate(pairs)]


class Report:
    """A report page in a browser."""

    def __init__(self, driver: Any, file: Path):
        self.driver, self.file = driver, file

    def open(self, theme: str = "light", width: int = 1400) -> "Report":
        """Open the page anew, all of its parts drawn."""
        size = {"width": width, "height": 6000, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get(f"{self.file.as_uri()}?theme={theme}")
        self.settle()
        return self

    def open_forgetful(self) -> None:
        """Open the page in a browser that remembers nothing."""
        self.open()

        def forgotten(_: object) -> bool:
            self.js("localStorage.clear()")
            self.open()
            return bool(self.js("return localStorage.length") == 0)

        WebDriverWait(self.driver, 60).until(forgotten)

    def reload(self) -> None:
        """Load the page again as a reader would, with what it has stored, which a busy Chromium may lose at first."""
        stored = self.js("return JSON.stringify(localStorage)")

        def knows(_: object) -> bool:
            self.driver.refresh()
            self.settle()
            if self.js("return JSON.stringify(localStorage)") == stored:
                return True
            self.js("Object.entries(JSON.parse(arguments[0])).forEach(([k, v]) => localStorage.setItem(k, v))", stored)
            return False

        WebDriverWait(self.driver, 60).until(knows)

    def js(self, script: str, *arguments: Any) -> Any:
        """Run a script and return its value."""
        return self.driver.execute_script(script, *arguments)

    def settle(self) -> None:
        """Wait until what has come into view is drawn."""
        self.driver.execute_async_script(
            "const d = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(d, 100)))"
        )

    def click(self, selector: str) -> None:
        """Click an element."""
        self.js("document.querySelector(arguments[0]).click()", selector)
        self.settle()

    def enter(self, selector: str, text: Any, event: str = "input") -> None:
        """Set a field as a reader would."""
        self.js(
            """
            const field = document.querySelector(arguments[0]);
            field.value = arguments[1];
            field.dispatchEvent(new Event(arguments[2]));
            """,
            selector,
            text,
            event,
        )
        self.settle()

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that can be seen."""
        found = "[...document.querySelectorAll(arguments[0])].filter((each) => each.checkVisibility())"
        return [
            str(text)
            for text in self.js(f"return {found}.map((each) => (each.innerText ?? each.textContent).trim())", selector)
        ]

    def press(self, key: str) -> None:
        """Press a key on the plot of val/neg_elbo."""
        press = "dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0] }))"
        self.js(f"report.charts['val/neg_elbo'].svg.{press}", key)

    def point(self, kind: str, x: float, y: float = 100) -> None:
        """Send a pointer event to the plot of val/neg_elbo, at a place in the plot's own units."""
        self.js(
            """
            const { svg } = report.charts["val/neg_elbo"], box = svg.getBoundingClientRect(), [kind, x, y] = arguments;
            svg.setPointerCapture = () => {};
            const at = { clientX: box.left + x / 460 * box.width, clientY: box.top + y / 270 * box.height };
            svg.dispatchEvent(new PointerEvent(kind, { bubbles: true, ...at }));
            """,
            kind,
            x,
            y,
        )
        self.settle()


@contextmanager
def watched(driver: Any, file: Path) -> Iterator[Report]:
    """Open a page in a browser that remembers nothing, and fail at the end if it has logged anything."""
    opened = Report(driver, file)
    opened.open_forgetful()
    driver.get_log("browser")
    yield opened
    logged = driver.get_log("browser")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert not logged, logged

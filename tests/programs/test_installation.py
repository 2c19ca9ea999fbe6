"""The wheel in a clean environment, and TensorBoard's page in a browser."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from pathlib import Path

from tools import browser, needs_browser, tiny

from scalian_exp.run.training import train


def test_the_wheel_works_in_a_clean_environment(tmp_path: Path, root: Path) -> None:
    """Dependencies come from this environment through a .pth file, and the project itself only from the wheel."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(root)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"scalian_exp/py.typed", "scalian_exp/course/chapters/draw.yaml"} <= set(names)
    assert sum(name.endswith("licenses/LICENSE") for name in names) == 1
    samples = {name.rpartition("/")[2] for name in names if name.startswith("scalian_exp/datasets/samples/")}
    assert {"fashion_mnist.npz", "LICENSE", "python_docs.csv.gz", "LICENSE.python"} <= samples
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True)
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it would win over the wheel

    def run(*command: str | Path) -> str:
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    for name in re.findall(r"^(scalian-\w+) =", (root / "pyproject.toml").read_text(), re.MULTILINE):
        shown = run(tmp_path / "venv/bin" / name, "--help")
        known = {"scalian-apply": "action=sample", "scalian-report": "likelihoods", "scalian-course": "outputs="}
        assert known.get(name, "== ") in shown
    output = run(python, "-c", IN_ONE_PROCESS)
    assert str(site) in output
    assert "samples.png" in output
    assert "report.html" in output  # with its template


IN_ONE_PROCESS = """
import sys
import scalian_exp.apply, scalian_exp.report, scalian_exp.train

print(scalian_exp.__file__)
quick = ["trainer=debug", "callbacks=minimal", "model.importance_samples=1", "hydra.run.dir=run"]
for program, arguments in (("train", quick), ("apply", ["run=run", "action=sample"]), ("report", ["run"])):
    sys.argv = [f"scalian-{program}", *arguments]
    getattr(scalian_exp, program).main()
"""
"""the commands one after another, because torch takes seconds to be imported"""


@needs_browser
def test_tensorboards_page_shows_scalars_and_images(tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    train(tiny("vae", "callbacks=default", "logger=tensorboard"), tmp_path / "run")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tensorboard.main",
            "--logdir",
            str(tmp_path),
            "--port",
            str(port),
            "--host",
            "127.0.0.1",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_runs(f"http://127.0.0.1:{port}/data/runs")
        driver = browser(tmp_path / "profile")
        try:
            for tab, expected in (("scalars", "tag: lr"), ("images", "test/reconstructions")):
                driver.get(f"http://127.0.0.1:{port}/#{tab}")
                WebDriverWait(driver, 60).until(lambda page, text=expected: text in text_of(page))
        finally:
            driver.quit()
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for_runs(address: str) -> None:
    """Wait until TensorBoard has read the run, because a page that is opened earlier stays empty."""
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=10) as answer:  # refused at first
            if json.load(answer):
                return
        time.sleep(0.2)
    raise AssertionError("TensorBoard shows no run")


def text_of(page: object) -> str:
    """Return all text of a page, including its shadow roots."""
    script = """
    const read = node => [...node.childNodes].map(child => child.nodeType === 3 ? child.data
        : read(child) + (child.shadowRoot ? read(child.shadowRoot) : "")).join(" ");
    return read(document.body);"""
    return " ".join(page.execute_script(script).split())  # type: ignore[attr-defined]

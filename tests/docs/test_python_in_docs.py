"""The Python code of the documentation runs: the code blocks of each page, and the notebook."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from documented import ROOT
from tools import tiny

from scalian_exp import compose, train

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tiny runs: `images`, trained on 28×28 grey images, `autoencoder` and `texts`."""
    folder = tmp_path_factory.mktemp("runs")
    train(tiny("vae", "dataset=fashion_mnist_sample", "trainer.limit_train_batches=1"), folder / "images")
    train(tiny("autoencoder", "test=false"), folder / "autoencoder")
    texts = "label,text\n" + "\n".join(f"{i % 2},the shuttle reached its orbit {'ab'[i % 2]}bc" for i in range(40))
    for name in ("train", "test"):
        (folder / f"{name}.csv").write_text(texts + "\n")
    own = ["dataset=text_csv", f"dataset.root={folder}", "dataset.val_size=10", "trainer.max_epochs=1"]
    train(compose("model=text_autoencoder", *own, "callbacks=minimal", "logger=none"), folder / "texts")
    return folder


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_python_blocks_run(page: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        text = block.replace("trainer.max_epochs=5", "trainer=debug")
        for placeholder, run in (("RUN", "images"), ("AUTOENCODER", "autoencoder"), ("TEXTS", "texts")):
            text = text.replace(placeholder, str(trained / run))
        exec(compile(text, page, "exec"), names)
        for name in ("decoded", "pixels", "drawn"):
            if name in names:
                assert 0 <= names[name].min() <= names[name].max() <= 1


def cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the code cells of a notebook."""
    return [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


NOTEBOOK = ROOT / "docs/first_hour.ipynb"


def test_the_notebook_has_its_outputs() -> None:
    outputs = [output for cell in cells(NOTEBOOK) for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert [cell["execution_count"] for cell in cells(NOTEBOOK)] == list(range(1, len(cells(NOTEBOOK)) + 1))


def run_notebook(notebook: Path, quick: bool) -> dict[str, Any]:
    """Run a notebook's code in this process, without its magics and without showing results."""
    names: dict[str, Any] = {}
    for cell in cells(notebook):
        text = "".join(line for line in cell["source"] if not line.startswith("%"))
        if quick:
            text = text.replace('"trainer.max_epochs=12"', '"trainer.max_epochs=1"')
        exec(compile(text, notebook.name, "exec"), names)
    return names


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch is enough here, instead of twelve."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = run_notebook(NOTEBOOK, quick=True)
    assert names["metrics"]["epochs"] == 1
    assert names["drawn"].shape == (32, 1, 28, 28)


@pytest.mark.slow
def test_the_notebooks_stated_results_are_reproduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = run_notebook(NOTEBOOK, quick=False)
    shown = "".join(line for cell in cells(NOTEBOOK) for output in cell["outputs"] for line in output.get("text", []))
    (bound,) = re.findall(r"test/neg_elbo +│ +([\d.]+)", shown)
    (precision,) = re.findall(r"2 numbers a code: (\d+)%", shown)
    assert names["metrics"]["test/neg_elbo"] == pytest.approx(float(bound), rel=0.01)
    assert float(names["precision"]) == pytest.approx(int(precision) / 100, abs=0.03)

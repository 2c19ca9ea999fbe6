"""The generated parts of the documentation match the code and the configs."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from documented import PAGES, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import floors
import write_docs

sys.path.pop(0)


def test_generated_parts_are_up_to_date() -> None:
    stale = [file.name for file, text in write_docs.generated().items() if file.read_text(encoding="utf-8") != text]
    assert not stale, "run: python scripts/write_docs.py"


def test_the_page_of_options_lists_every_option_and_key() -> None:
    page = (ROOT / "docs/words.md").read_text(encoding="utf-8")
    for group in ("model", "dataset", "loss", "experiment", "action", "trainer", "callbacks"):
        for file in (ROOT / "configs" / group).glob("*.yaml"):
            assert f"### `{file.stem}`" in page
    assert "| `loss.beta` | `1.0` | β, the factor of the KL" in page
    assert "| `model.network.latent_dim` | `20` |" in page
    assert "| `count` | `64` | number of images; of an autoencoder" in page


def test_keys_defaults_and_comments_are_read_from_an_options_file(tmp_path: Path) -> None:
    file = tmp_path / "option.yaml"
    file.write_text("# What it is.\na: 1 # one\nb:\n  c: [1, 2] # two\n  d: {e: 3} # flow\n_target_: x\nf: ??? # m\n")
    assert list(write_docs.keys(file)) == [
        ("a", "1", "one"),
        ("b.c", "[1, 2]", "two"),
        ("b.d", "{e: 3}", "flow"),
        ("f", "???", "m"),
    ]
    assert yaml.safe_load(file.read_text())["b"]["c"] == [1, 2]


def test_the_readme_shows_the_packages_floors() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [re.findall(r"`([\w/]+)`", row) for row in re.findall(r"^\| [1-8] \|(.*?)\|", readme, re.MULTILINE)]
    assert [[name.rstrip("/") for name in row] for row in rows] == [list(floor) for floor in floors.FLOORS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_existing_files_and_anchors(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!http)([^)#\s]*)(?:#([^)]+))?\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings as GitHub and the site spell them, and explicit ones."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(
        re.findall(r'<a id="([^"]+)">', text)
    )


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150

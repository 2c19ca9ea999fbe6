"""The documentation's site builds without a warning: every link leads to a page, every name of the reference exists."""

import subprocess
import sys
from pathlib import Path

import pytest
from documented import ROOT

tomllib = pytest.importorskip("tomllib", reason="Python ≥ 3.11 reads TOML")


def pages(nav: list[dict[str, object]]) -> list[str]:
    """All pages of a navigation, whose sections nest."""
    found: list[str] = []
    for entry in nav:
        for value in entry.values():
            found += pages(value) if isinstance(value, list) else [str(value)]
    return found


def test_every_page_is_in_the_navigation() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    assert {file.name for file in (ROOT / "docs").glob("*.md")} <= set(pages(nav))


@pytest.mark.slow
def test_the_site_builds_strictly() -> None:
    pytest.importorskip("zensical", reason="make docs installs it")
    program = Path(sys.executable).with_name("zensical")
    built = subprocess.run(
        [program, "build", "--clean", "--strict"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr

"""The documentation's site builds without a warning, so every link and every name in the reference exists."""

import subprocess
import sys
from pathlib import Path

import pytest
from documented import ROOT

tomllib = pytest.importorskip("tomllib", reason="Python ≥ 3.11 reads TOML")


def pages(nav: list[dict[str, object]]) -> list[str]:
    """Return all pages of a navigation, whose sections nest."""
    result: list[str] = []
    for entry in nav:
        for value in entry.values():
            result += pages(value) if isinstance(value, list) else [str(value)]
    return result


def test_every_page_is_in_the_navigation() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    assert {file.name for file in (ROOT / "docs").glob("*.md")} <= set(pages(nav))


@pytest.mark.slow
def test_the_site_builds_strictly() -> None:
    pytest.importorskip("zensical", reason="make docs installs it")
    program = Path(sys.executable).with_name("zensical")
    result = subprocess.run(
        [program, "build", "--clean", "--strict"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr

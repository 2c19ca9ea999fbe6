"""The list of figures that can be run again is that of docs/results.md."""

import math
import re
from typing import Any

import pytest
from documented import ROOT
from tools import script

rerun_figures = script("rerun_figures")
ROWS = (ROOT / "docs/results.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("entry", rerun_figures.entries(), ids=lambda entry: entry["command"])
def test_every_figure_is_stated_in_the_row_of_its_command(entry: Any) -> None:
    (row,) = [row for row in ROWS if f"| `{entry['command']}` |" in row]
    numbers = {float(number) for number in re.findall(r"\d+\.\d+", row.split("|")[1])}
    assert {stated for stated, _ in entry["figures"].values()} <= numbers
    assert all(0 < within < 0.03 * stated for stated, within in entry["figures"].values())


@pytest.mark.parametrize(("now", "holds"), [(1.09, True), (0.91, True), (1.11, False), (math.nan, False)])
def test_a_figure_holds_if_it_is_close_enough(now: float, holds: bool) -> None:
    assert rerun_figures.Figure("scalian-train", "test/loss", 1.0, 0.1, now).holds is holds

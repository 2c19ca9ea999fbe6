"""Verdicts: values that others published or computed, beside ours; calling a judge asserts that they agree."""

import json
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from tools import composed

from scalian_exp.folders import CONFIG, METRICS


class Verdict(NamedTuple):
    """A value of theirs beside ours."""

    what: str
    """the quantity, and its unit if it has one"""
    source: str
    """the program or publication that theirs is from"""
    theirs: float
    ours: float
    within: float
    """the largest difference that passes"""
    lower_is_better: bool = False
    """whether ours passes however low it is"""

    @property
    def passed(self) -> bool:
        """Whether the values agree; NaN never does."""
        difference = self.ours - self.theirs
        return (difference if self.lower_is_better else abs(difference)) <= self.within


VERDICTS = pytest.StashKey[list[Verdict]]()
"""where a pytest session keeps the verdicts of its tests"""


class Judge:
    """Compares values, and remembers them for the table at the end of the session."""

    def __init__(self, verdicts: list[Verdict]):
        self.verdicts = verdicts

    def __call__(self, what: str, source: str, theirs: Any, ours: Any, within: float) -> None:
        """Record two numbers, and fail unless they differ by `within` at most."""
        self.record(Verdict(what, source, float(theirs), float(ours), within))

    def no_worse(self, what: str, source: str, theirs: Any, ours: Any, within: float) -> None:
        """Record two errors of methods that aren't the same, and fail if ours is larger by more than `within`."""
        self.record(Verdict(what, source, float(theirs), float(ours), within, lower_is_better=True))

    def record(self, verdict: Verdict) -> None:
        """Keep a verdict for the table, and assert that it passed."""
        self.verdicts.append(verdict)
        assert verdict.passed, verdict


def table_of(verdicts: list[Verdict]) -> Table:
    """Return a table of a line for each verdict."""
    table = Table("value", "theirs from", "theirs", "ours", "difference", "allowed", "agrees")
    for each in verdicts:
        numbers = (f"{each.theirs:.6g}", f"{each.ours:.6g}", f"{each.ours - each.theirs:+.2g}", f"{each.within:.2g}")
        table.add_row(each.what, each.source, *numbers, "yes" if each.passed else "NO")
    return table


def show(verdicts: list[Verdict]) -> None:
    """Print the table of verdicts, if there are any."""
    if verdicts:
        Console(width=160).print(table_of(verdicts))


def metrics_of(run: Path, overrides: str) -> dict[str, float]:
    """Return the metrics of a run that takes longer than a test may, or skip the test and name its command."""
    if not (run / METRICS).is_file():
        pytest.skip(f"needs {run}; scalian-train {overrides} hydra.run.dir={run} trains it")
    wanted = what_decides(composed(*shlex.split(overrides)))
    assert what_decides(OmegaConf.load(run / CONFIG)) == wanted, f"{run} is of another command; train it again"
    metrics: dict[str, float] = json.loads((run / METRICS).read_text(encoding="utf-8"))
    return metrics


def what_decides(config: Any) -> dict[str, Any]:
    """Return the part of a config that decides what is trained, and for how long."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    data = {key: value for key, value in plain["dataset"].items() if key != "root"}
    return {"model": plain["model"], "loss": plain["loss"], "dataset": data, "epochs": plain["trainer"]["max_epochs"]}

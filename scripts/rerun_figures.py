"""Run the cheap commands of docs/results.md again, and compare their figures with the stated ones.

    python scripts/rerun_figures.py                  # about half an hour on one core
    python scripts/rerun_figures.py model=vae        # those whose command contains a text

scripts/figures.yaml lists the commands, and how far a figure may be off: another machine adds up in another order, so
that trainings differ from the first steps on. Exits with 1 if a figure is further off.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

LIST = Path(__file__).with_name("figures.yaml")


class Figure(NamedTuple):
    """A stated figure, and what it is now."""

    command: str
    metric: str
    stated: float
    within: float
    now: float

    @property
    def holds(self) -> bool:
        """Whether it is close enough; NaN never is."""
        return abs(self.now - self.stated) <= self.within


def entries(containing: str = "") -> list[Any]:
    """Return the entries of the list whose command contains a text."""
    plain: Any = OmegaConf.to_container(OmegaConf.load(LIST))
    return [entry for entry in plain if containing in entry["command"]]


def run(entry: Any, folder: Path) -> Iterator[Figure]:
    """Run an entry's command in a folder, and yield its figures; NaN where there is none."""
    arguments = [*shlex.split(entry["command"])[1:], "logger=none", f"hydra.run.dir={folder}"]
    with (folder.parent / f"{folder.name}.txt").open("w") as output:
        subprocess.run(
            [sys.executable, "-m", "scalian_exp.train", *arguments], stdout=output, stderr=output, check=False
        )
    file = folder / "metrics.json"
    metrics = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for metric, (stated, within) in entry["figures"].items():
        yield Figure(entry["command"], metric, stated, within, metrics.get(metric, float("nan")))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("containing", nargs="?", default="", help="a part of the commands to run")
    containing = parser.parse_args().containing
    chosen, scratch = entries(containing), Path(tempfile.mkdtemp())
    if not chosen:
        parser.error(f"no command contains {containing!r}; {LIST} has them all")
    table = Table("command", "figure", "stated", "now", "difference", "allowed", "holds", title=f"runs in {scratch}")
    failed = 0
    for number, entry in enumerate(chosen):
        for each in run(entry, scratch / str(number)):
            print(f"{each.command}: {each.metric} {each.now:.4g}, stated {each.stated:.4g}", flush=True)
            numbers = (f"{each.stated:.4g}", f"{each.now:.4g}", f"{each.now - each.stated:+.2g}", f"{each.within:.2g}")
            table.add_row(each.command, each.metric, *numbers, "yes" if each.holds else "NO")
            failed += not each.holds
    Console(width=160).print(table)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

"""Chapters of the course: a YAML file each, in chapters/.

    order: 8                                   # position on the page
    shows:                                     # what is shown, in this order
      - exhibit: codes                         # an exhibit of a run; of several, a switch shows one at a time
        by: { fr: …, en: … }                   # what the switch chooses; only for several runs
        runs: { autoencoder_2: "2", … }        # run → label of the switch; or the name of one run
        first: autoencoder_2                   # shown at first; the first of the runs by default
        title: { fr: …, en: … }                # above it, where a chapter shows several things
      - comparison: plot                       # a comparison of runs, with settings of its own
        name: quality                          # texts tell its facts as {{ f.shown.quality.… }}; by default its kind
    results: { autoencoder_30: [probe] }       # actions whose results the texts or comparisons tell
    commands: [vae]                            # runs whose commands repeat it; by default those of the first show
    short, title, lead, tries, found, …        # texts in French and English; {{ f.vae.test.kl | n(1) }} is computed

A run is the name of an experiment in configs/experiment/course.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHAPTERS = Path(__file__).parent / "chapters"
SETTINGS = ("order", "shows", "results", "commands")
"""keys of a chapter's file that are not texts"""


class Description(NamedTuple):
    """A chapter as its file describes it, without the texts."""

    file: Path
    order: int
    shows: list[dict[str, Any]]
    results: dict[str, list[str]]
    commands: list[str]

    @property
    def name(self) -> str:
        """Return the chapter's name, that of its file."""
        return self.file.stem

    @property
    def runs(self) -> list[str]:
        """Return the names of all runs that the chapter shows, each once."""
        named = [run for show in self.shows for run in runs_of(show)]
        return list(dict.fromkeys([*named, *self.results, *self.commands]))


def runs_of(show: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the runs that a show uses, also within its settings."""
    for key, value in show.items():
        if key in ("run", "judge") or (key == "runs" and isinstance(value, str)):
            yield value
        elif key == "runs":
            yield from value
        elif key == "series":
            for series in value:
                yield from runs_of(series)


def described(file: Path) -> Description:
    """Read the description of a chapter.

    Raises:
        ValueError: if it lacks its order or shows nothing.
    """
    node = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(node.get("order"), int) or not node.get("shows"):
        raise ValueError(f"{file} needs order and shows")
    shows = node["shows"]
    commands = node.get("commands", list(dict.fromkeys(runs_of(shows[0]))))
    return Description(file, node["order"], shows, node.get("results", {}), commands)


def chapters(folder: Path = CHAPTERS) -> list[Description]:
    """Return the descriptions of all chapters, in their order."""
    return sorted(map(described, folder.glob("*.yaml")), key=lambda chapter: chapter.order)

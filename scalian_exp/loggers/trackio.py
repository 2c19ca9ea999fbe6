"""Runs in trackio: a database and a dashboard on this machine, or a Hugging Face Space."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from scalian_exp.loggers.protocols import Ending
from scalian_exp.loggers.tracker import Kept, Tracker, imported

PACKAGES = {"trackio": "trackio"}
"""see vocabulary/packages.py"""


class Trackio(Tracker):
    """Shows a run in trackio: config, curves, figures, checkpoints as artifacts, and an alert if it didn't finish.

    trackio knows a run by its name, so a run of a sweep is called by what it varies and by its sweep.

    Args:
        save_dir: the run folder.
        project: the project that lists the run.
        name: see `Tracker`; it must be a new one, as a run of a known name is continued.
        group: see `Tracker`.
        space_id: a Hugging Face Space that shows the project, as USER/NAME; None for this machine's database.
        checkpoints: which checkpoints to keep as artifacts.

    Raises:
        Refusal: if trackio isn't installed.
    """

    tracker = "trackio"

    def __init__(
        self,
        save_dir: str,
        project: str = "scalian_exp",
        name: str | None = None,
        group: str | None = None,
        space_id: str | None = None,
        checkpoints: Sequence[Kept] = ("best", "last"),
    ):
        super().__init__(save_dir, name, group, checkpoints)
        self.trackio = imported("trackio", "trackio")
        self.project, self.space_id = project, space_id
        self.run: Any = None

    @property
    def name(self) -> str:
        """Name of the project."""
        return self.project

    @property
    def version(self) -> str | None:
        """Name of the run, by which trackio knows it."""
        return self.run.name if self.run is not None else None

    def start(self, name: str, group: str | None, config: Mapping[str, Any], known: str | None) -> str:
        """Start the run, or continue the one of the known name."""
        full = f"{name}, {group}" if group and not self.wanted_name else name
        self.run = self.trackio.init(
            self.project,
            name=known or full,
            group=group,
            space_id=self.space_id,
            config={**config},
            resume="never" if known is None else "allow",
            embed=False,
        )
        identifier: str = self.run.name
        return identifier

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add a point to each curve."""
        if self.run is not None:
            self.run.log({**metrics}, step=step)

    def log_figure(self, name: str, png: bytes, epoch: int, step: int) -> None:
        """Show a figure; the dashboard has a slider over the steps of those with one name."""
        if self.run is not None:
            self.run.log({name: self.trackio.Image(Image.open(io.BytesIO(png)))}, step=step)

    def stop(self, ending: Ending, metrics: Mapping[str, Any], checkpoints: list[Path], files: list[Path]) -> None:
        """Keep checkpoints as versions `best` and `last` of one artifact, and all other files as another."""
        for file in checkpoints:
            self.keep(f"model-{self.run.id}", "model", [file], [file.stem], metrics)
        self.keep(f"results-{self.run.id}", "results", files, [], metrics)
        if ending != "finished":
            levels = {"interrupted": self.trackio.AlertLevel.WARN, "failed": self.trackio.AlertLevel.ERROR}
            self.run.alert(title=ending, text=f"this run: {ending}", level=levels[ending])
        self.trackio.finish()

    def keep(self, name: str, kind: str, files: list[Path], aliases: list[str], metadata: Mapping[str, Any]) -> None:
        """Keep files as one version of an artifact, under their paths in the run folder."""
        artifact = self.trackio.Artifact(name, type=kind, metadata={**metadata})
        for file in files:
            artifact.add_file(str(file), name=file.relative_to(self.folder).as_posix())
        self.run.log_artifact(artifact, aliases=aliases)

"""Runs in Weights & Biases, online or in files that are sent later."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from scalian_exp.loggers.protocols import Ending
from scalian_exp.loggers.tracker import Kept, Tracker, imported
from scalian_exp.refusal import Refusal

PACKAGES = {"wandb": "wandb"}
"""see vocabulary/packages.py"""
STEP = "trainer/global_step"
"""the x-axis of all curves, called as by Lightning's own logger"""
EXIT_CODES: dict[Ending, int] = {"finished": 0, "failed": 1, "interrupted": 255}
"""how a run ended → the exit code from which W&B tells finished, failed and killed runs"""
OFFLINE = "to write files that `wandb sync` sends later, set WANDB_MODE=offline or logger.wandb.mode=offline."


class WandB(Tracker):
    """Shows a run in Weights & Biases: config, curves, figures, checkpoints as artifacts, and how it ended.

    Args:
        save_dir: the run folder, in whose wandb/ the files of the run are written.
        project: the project that lists the run.
        entity: user or team; None for the account's default.
        name: see `Tracker`.
        group: see `Tracker`.
        tags: words by which runs can be filtered.
        notes: a description of the run.
        mode: None for what WANDB_MODE or `wandb offline` says, otherwise online.
        checkpoints: which checkpoints to keep as artifacts.

    Raises:
        Refusal: if wandb isn't installed, or it is to be online and there is no API key.
    """

    tracker = "wandb"

    def __init__(
        self,
        save_dir: str,
        project: str = "scalian_exp",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        mode: Literal["online", "offline", "disabled"] | None = None,
        checkpoints: Sequence[Kept] = ("best", "last"),
    ):
        super().__init__(save_dir, name, group, checkpoints)
        self.wandb = imported("wandb", "wandb")
        self.project, self.entity, self.tags, self.notes, self.mode = project, entity, tags, notes, mode
        self.run: Any = None
        online = (mode or self.wandb.setup().settings.mode) == "online"
        if online and not self.wandb.login(verify=False, prompt=False):
            raise Refusal(f"wandb has no API key: call `wandb login` once, or set WANDB_API_KEY; {OFFLINE}")

    @property
    def name(self) -> str:
        """Name of the project."""
        return self.project

    @property
    def version(self) -> str | None:
        """Identifier of the run."""
        return self.run.id if self.run is not None else None

    def start(self, name: str, group: str | None, config: Mapping[str, Any], known: str | None) -> str:
        """Start the run, or continue it under its identifier."""
        settings: Any = {"reinit": "create_new", "id": known, "resume": "allow", "mode": self.mode}
        try:
            self.run = self.wandb.init(
                **settings,
                **{"project": self.project, "entity": self.entity, "name": name, "group": group},
                **{"tags": [*self.tags], "notes": self.notes, "dir": self.folder, "config": {**config}},
            )
        except self.wandb.errors.Error as error:
            raise Refusal(f"wandb: {' '.join(str(error).split()).rstrip('.')}; {OFFLINE}") from error
        self.run.define_metric(STEP)
        self.run.define_metric("*", step_metric=STEP, step_sync=True)
        identifier: str = self.run.id
        return identifier

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add a point to each curve."""
        if self.run is not None:
            self.run.log({**metrics, **({} if step is None else {STEP: step})})

    def log_figure(self, name: str, png: bytes, epoch: int, step: int) -> None:
        """Show a figure; the dashboard has a slider over the steps of those with one name."""
        if self.run is not None:
            self.run.log({name: self.wandb.Image(Image.open(io.BytesIO(png))), STEP: step})

    def stop(self, ending: Ending, metrics: Mapping[str, Any], checkpoints: list[Path], files: list[Path]) -> None:
        """Keep checkpoints as versions `best` and `last` of one artifact, and all other files as another."""
        self.run.summary.update({**metrics, "status": ending})
        for file in checkpoints:
            self.keep(f"model-{self.run.id}", "model", [file], [file.stem], metrics)
        self.keep(f"results-{self.run.id}", "results", files, [], metrics)
        self.run.finish(exit_code=EXIT_CODES[ending])

    def keep(self, name: str, kind: str, files: list[Path], aliases: list[str], metadata: Mapping[str, Any]) -> None:
        """Keep files as one version of an artifact, under their paths in the run folder."""
        artifact = self.wandb.Artifact(name, type=kind, metadata={**metadata})
        for file in files:
            artifact.add_file(str(file), name=file.relative_to(self.folder).as_posix())
        self.run.log_artifact(artifact, aliases=[*aliases, "latest"])

"""Runs in MLflow, on a server or in a database on this machine."""

import io
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from scalian_exp.loggers.protocols import Ending
from scalian_exp.loggers.tracker import Kept, Tracker, flat, imported
from scalian_exp.refusal import Refusal

PACKAGES = {"mlflow": "mlflow"}
"""see vocabulary/packages.py"""
DATABASE = "mlflow.db"
STATES: dict[Ending, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
"""how a run ended → MLflow's name for it"""
BATCH = 100
"""most parameters that MLflow takes at once"""
LONGEST = 6000
"""most characters of a parameter's value"""
FORBIDDEN = re.compile(r"[^\w/. :-]", re.ASCII)
"""characters that names of metrics may not contain"""


class MLflow(Tracker):
    """Shows a run in MLflow: parameters, curves, figures, checkpoints and other files as artifacts, and how it ended.

    Args:
        save_dir: the run folder.
        experiment_name: the experiment that lists the run.
        tracking_uri: address of a server or database; None for MLFLOW_TRACKING_URI or else the database mlflow.db in
            the folder of all runs, or beside a run that lies elsewhere.
        name: see `Tracker`.
        group: see `Tracker`; the tag `group`.
        tags: further tags by name.
        checkpoints: which checkpoints to keep as artifacts.

    Raises:
        Refusal: if mlflow isn't installed.
    """

    tracker = "mlflow"

    def __init__(
        self,
        save_dir: str,
        experiment_name: str = "scalian_exp",
        tracking_uri: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Mapping[str, str] | None = None,
        checkpoints: Sequence[Kept] = ("best", "last"),
    ):
        super().__init__(save_dir, name, group, checkpoints)
        self.mlflow = imported("mlflow", "mlflow")
        self.experiment_name, self.tracking_uri, self.tags = experiment_name, tracking_uri, tags or {}
        self.client: Any = None
        self.run_id: str | None = None

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.experiment_name

    @property
    def version(self) -> str | None:
        """Identifier of the run."""
        return self.run_id

    def start(self, name: str, group: str | None, config: Mapping[str, Any], known: str | None) -> str:
        """Start the run, or continue it under its identifier, and log those parameters that it doesn't have."""
        uri = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or database_of(self.folder, config)
        try:
            self.client = self.mlflow.MlflowClient(uri)
            self.run_id = known or self.new_run(uri, name, group)
            self.client.update_run(self.run_id, status="RUNNING")
            self.log_parameters(config)
        except self.mlflow.exceptions.MlflowException as error:
            first = str(error).splitlines()[0].rstrip(".")
            raise Refusal(
                f"MLflow at {uri}: {first}; correct logger.mlflow.tracking_uri, or start the server."
            ) from error
        return self.run_id

    def new_run(self, uri: str, name: str, group: str | None) -> str:
        """Create a run, and its experiment if there is none, and return the run's identifier."""
        experiment = self.client.get_experiment_by_name(self.experiment_name)
        if experiment is None:
            own = uri.removeprefix("sqlite:///")
            place = (Path(own).absolute().parent / "mlruns").as_uri() if own != uri else None
            number = self.client.create_experiment(self.experiment_name, place)  # by default below the current folder
        else:
            number = experiment.experiment_id
        tags = {**self.tags, **({} if group is None else {"group": group}), "folder": str(self.folder.absolute())}
        identifier: str = self.client.create_run(number, tags=tags, run_name=name).info.run_id
        return identifier

    def log_parameters(self, config: Mapping[str, Any]) -> None:
        """Log a config's values by dotted path; what a resumed run changes as tags, since parameters can't change."""
        old = self.client.get_run(self.run_id).data.params
        values = {key: str(value)[:LONGEST] for key, value in flat(config).items()}
        new = [self.mlflow.entities.Param(key, value) for key, value in values.items() if key not in old]
        for start in range(0, len(new), BATCH):
            self.client.log_batch(self.run_id, params=new[start : start + BATCH])
        for key in old.keys() & values.keys():
            if old[key] != values[key]:
                self.client.set_tag(self.run_id, f"resumed.{key}", values[key])

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a point to each curve."""
        if self.client is None:
            return
        now = int(time.time() * 1000)
        points = [
            self.mlflow.entities.Metric(FORBIDDEN.sub("_", name), value, now, step or 0)
            for name, value in metrics.items()
        ]
        self.client.log_batch(self.run_id, metrics=points)

    def log_figure(self, name: str, png: bytes, epoch: int, step: int) -> None:
        """Show a figure; the run's page has a slider over the steps of those with one name."""
        if self.client is not None:
            self.client.log_image(self.run_id, Image.open(io.BytesIO(png)), key=name, step=step)

    def stop(self, ending: Ending, metrics: Mapping[str, Any], checkpoints: list[Path], files: list[Path]) -> None:
        """Keep the files as artifacts, under their paths in the run folder."""
        numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
        self.log_metrics(numbers, int(numbers.get("steps", 0)))
        for file in (*checkpoints, *files):
            inside = file.relative_to(self.folder).parent.as_posix()
            self.client.log_artifact(self.run_id, str(file), None if inside == "." else inside)
        self.client.set_terminated(self.run_id, STATES[ending])


def database_of(folder: Path, config: Mapping[str, Any]) -> str:
    """Return the address of the database in the folder of all runs, or beside a run that doesn't lie there."""
    outputs = Path(str(config.get("outputs", "."))).absolute()
    place = outputs if folder.absolute().is_relative_to(outputs) else folder.absolute().parent
    return f"sqlite:///{place / DATABASE}"

"""How loggers follow a run: its name, its start and end, its files, and its identifier, kept for a resumed run."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml
from commands import QUICK, command
from tools import read_csv, tiny

from scalian_exp.loggers.protocols import FollowsRun, TakesFigures, takers
from scalian_exp.loggers.tensorboard import TensorBoard
from scalian_exp.loggers.tracker import Tracker, flat, imported
from scalian_exp.refusal import Refusal
from scalian_exp.run.following import described
from scalian_exp.run.training import train


class Notebook(Tracker):
    """A tracker in memory."""

    tracker = "notebook"
    runs: ClassVar[list[dict[str, Any]]] = []

    @property
    def name(self) -> str:
        return "notebook"

    @property
    def version(self) -> str:
        return ""

    def start(self, name: str, group: str | None, config: Mapping[str, Any], known: str | None) -> str:
        self.runs.append({"name": name, "group": group, "config": config, "known": known, "points": [], "figures": {}})
        return known or f"run {len(self.runs)}"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.runs[-1]["points"].append({"step": step, **metrics})

    def log_figure(self, name: str, png: bytes, epoch: int, step: int) -> None:
        self.runs[-1]["figures"][name] = png, step

    def stop(self, ending: Any, metrics: Mapping[str, Any], checkpoints: list[Path], files: list[Path]) -> None:
        self.runs[-1] |= {"ending": ending, "metrics": metrics, "checkpoints": checkpoints, "files": files}


@pytest.fixture
def runs() -> list[dict[str, Any]]:
    Notebook.runs.clear()
    return Notebook.runs


def config(*overrides: str) -> dict[str, Any]:
    """Return the config of a tiny run that a notebook and a CSV file follow."""
    tracked = ["logger=csv", "+logger.notebook._target_=test_tracker.Notebook", "callbacks=default"]
    return tiny("autoencoder", *tracked, "+logger.notebook.checkpoints=[best,last]", *overrides)


def test_a_run_is_followed_from_its_start_to_its_end(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    own = config("callbacks.figures.every_n_epochs=1")
    train(own, tmp_path / "first")
    (run,) = runs
    assert (run["name"], run["group"]) == ("DenseAutoencoder on FakeImages, first", None)
    assert run["config"] == {key: value for key, value in own.items() if key != "trust"}
    assert run["ending"] == "finished"
    assert run["metrics"] == json.loads((tmp_path / "first/metrics.json").read_text())
    assert [file.name for file in run["checkpoints"]] == ["best.ckpt", "last.ckpt"]
    assert {"config.yaml", "metrics.json", "metrics.csv", "test_reconstructions.png"} <= {f.name for f in run["files"]}
    for name, (png, step) in run["figures"].items():
        split, _, kind = name.partition("/")
        assert png == (tmp_path / f"first/figures/{split}_{kind}.png").read_bytes()
        assert step == run["metrics"]["steps"]
    rows = [
        {key: float(value) for key, value in row.items() if value}
        for row in read_csv(tmp_path / "first/csv/metrics.csv")
    ]
    assert [{key: pytest.approx(value) for key, value in point.items()} for point in run["points"]] == rows


@pytest.mark.parametrize(("by", "ending"), [("interruption", "interrupted"), ("failure", "failed")])
def test_a_run_that_stops_early_goes_on_under_its_identifier(
    by: str, ending: str, runs: list[dict[str, Any]], tmp_path: Path
) -> None:
    own = config("trainer.max_epochs=3")
    stopping = {**own["callbacks"], "ends": {"_target_": "interruptions.Ends", "by": by}}
    with pytest.raises((SystemExit, ZeroDivisionError)):
        train({**own, "callbacks": stopping}, tmp_path)
    assert runs[0]["ending"] == ending
    assert "last.ckpt" in [file.name for file in runs[0]["checkpoints"]]
    train(own, tmp_path)
    assert runs[1]["known"] == "run 1"
    assert runs[1]["ending"] == "finished"
    assert json.loads((tmp_path / "tracking.json").read_text()) == {"notebook": "run 1"}


def test_a_logger_that_cannot_begin_ends_the_others(
    runs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> str:
        raise Refusal("The server is gone.")

    own = config("+logger.second._target_=test_tracker.Second")
    monkeypatch.setattr(Second, "start", refuse)
    with pytest.raises(Refusal, match="gone"):
        train(own, tmp_path)
    assert [run["ending"] for run in runs] == ["failed"]


class Second(Notebook):
    tracker = "second"


def test_jobs_of_a_sweep_are_called_by_what_they_vary(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    tracked = "+logger.notebook._target_=test_tracker.Notebook"
    sweep = ["-m", "model=autoencoder", *QUICK, "trainer.max_epochs=1", tracked, "hydra.sweep.dir=runs/lr"]
    assert command(*sweep, "seed=1,2", "model.optimizer.lr=0.1", cwd=tmp_path).returncode == 0
    assert [(run["name"], run["group"]) for run in runs] == [("seed=1", "lr"), ("seed=2", "lr")]


def test_names_and_groups_of_ones_own(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    train(config("+logger.notebook.name=mine", "+logger.notebook.group=ours"), tmp_path)
    assert (runs[0]["name"], runs[0]["group"]) == ("mine", "ours")


def test_a_damaged_record_of_hydra_does_not_end_a_job(tmp_path: Path) -> None:
    job = tmp_path / "0_seed-1"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra/hydra.yaml").write_text(yaml.safe_dump({"hydra": {}}))
    (tmp_path / "multirun.yaml").touch()
    assert described(job, {})[2:] == ("0_seed-1", tmp_path.name)


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_a_missing_package_is_refused_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Refusal, match=rf"logger\.{name}: {name} is missing: pip install 'scalian-exp\[{name}\]'\."):
        train(tiny("autoencoder", f"logger={name}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_of_a_packages_name_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tracker_of_tests").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Refusal, match="tracker_of_tests is missing"):
        imported("tracker_of_tests", "x")


def test_several_loggers_are_chosen_at_once() -> None:
    assert {*tiny("vae", "logger=[default,wandb]")["logger"]} == {"tensorboard", "csv", "wandb"}
    assert {*tiny("vae", "logger=[mlflow,csv,trackio]")["logger"]} == {"mlflow", "csv", "trackio"}
    assert {*tiny("vae", "logger=wandb")["logger"]} == {"wandb"}


def test_only_the_first_process_logs(tmp_path: Path) -> None:
    loggers = [Notebook(str(tmp_path)), TensorBoard(str(tmp_path))]
    first = SimpleNamespace(loggers=loggers, is_global_zero=True)
    assert takers(first, FollowsRun) == loggers[:1]
    assert takers(first, TakesFigures) == loggers
    assert takers(SimpleNamespace(loggers=loggers, is_global_zero=False), TakesFigures) == []


def test_a_config_is_flattened() -> None:
    assert flat({"a": {"b": 1, "c": {"d": [1, {"e": 2}]}}, "f": None}) == {"a.b": 1, "a.c.d": [1, {"e": 2}], "f": None}

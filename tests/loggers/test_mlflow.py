"""Runs in MLflow's database, read back through its client."""

from pathlib import Path
from typing import Any

import pytest
from tools import ONE_STEP, read_csv, tiny
from written import pixels

from scalian_exp.run.training import train

mlflow = pytest.importorskip("mlflow", reason="pip install '.[mlflow]'")


def only_run(database: Path) -> tuple[Any, Any]:
    """Return the client of a database, and its only run."""
    client = mlflow.MlflowClient(f"sqlite:///{database}")
    (run,) = client.search_runs([client.get_experiment_by_name("scalian_exp").experiment_id])
    return client, run


@pytest.mark.slow
def test_a_run_is_in_the_database_and_resumed_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    drawn = ["callbacks=default", "callbacks.figures.every_n_epochs=1", "logger.mlflow.tags={kind: tiny}"]
    config = tiny("vae", "logger=[csv,mlflow]", *drawn, "outputs=outputs")
    folder = tmp_path / "outputs/first"
    train(config, folder)
    client, run = only_run(tmp_path / "outputs/mlflow.db")
    assert run.info.run_name == "DenseVAE on FakeImages, first"
    assert run.info.status == "FINISHED"
    assert run.data.tags["kind"] == "tiny"
    assert run.data.params["model.network.latent_dim"] == "2"
    for row in read_csv(folder / "csv/metrics.csv"):
        for name, value in row.items():
            if value and name not in ("step", "epoch"):
                history = {point.step: point.value for point in client.get_metric_history(run.info.run_id, name)}
                assert history[int(row["step"])] == pytest.approx(float(value))

    def paths(place: str | None = None) -> set[str]:
        entries = client.list_artifacts(run.info.run_id, place)
        return {p for entry in entries for p in (paths(entry.path) if entry.is_dir else {entry.path})}

    files = paths()
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "config.yaml", "figures/test_samples.png"} <= files

    def download(place: str) -> Path:
        uri = f"sqlite:///{tmp_path}/outputs/mlflow.db"
        return Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/{place}", tracking_uri=uri))

    for name in ("best", "last"):
        kept = download(f"checkpoints/{name}.ckpt")
        assert kept.read_bytes() == (folder / f"checkpoints/{name}.ckpt").read_bytes()
    (shown,) = [file for file in files if file.startswith("images/test~samples") and file.endswith(".png")]
    assert pixels(download(shown)) == pixels(folder / "figures/test_samples.png")
    assert not (tmp_path / "mlruns").exists()

    train({**config, "trainer": {**config["trainer"], "max_epochs": 2}}, folder)
    client, again = only_run(tmp_path / "outputs/mlflow.db")
    assert again.info.run_id == run.info.run_id
    assert again.data.params["trainer.max_epochs"] == "1"
    assert again.data.tags["resumed.trainer.max_epochs"] == "2"
    assert again.data.metrics["epochs"] == 2


@pytest.mark.slow
def test_a_run_elsewhere_uses_the_database_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train(tiny("vae", "logger=mlflow", *ONE_STEP), tmp_path / "elsewhere/run")
    assert only_run(tmp_path / "elsewhere/mlflow.db")[1].info.status == "FINISHED"

"""Several processes train as one does."""

import csv
from pathlib import Path

import pytest
from conftest import tiny

from scalian_exp import processes

DDP = "trainer/accelerator=ddp_cpu"
CURVE = ["logger=csv", "trainer.log_every_n_steps=1", "test=true"]


def curve(folder: Path, name: str) -> list[float]:
    """What metrics.csv says of a value, in the order of the steps."""
    (file,) = folder.rglob("metrics.csv")
    with file.open() as rows:
        return [float(row[name]) for row in csv.DictReader(rows) if row.get(name)]


@pytest.mark.parametrize(
    ("model", "more"),
    [
        pytest.param("autoencoder", ["model.network.hidden=[32]"], marks=pytest.mark.slow),
        pytest.param("fcn8s", ["model.network.dropout=0.0"], marks=pytest.mark.slow),
        pytest.param("rbm", ["loss=persistent_cd", "loss.chains=8", "model.network.hidden=[16]"]),
        pytest.param("rbm_gaussian", ["loss=contrastive_divergence"], marks=pytest.mark.slow),
        pytest.param("dbn", ["model.network.hidden=[16,8]", "model.epochs_per_layer=4"], marks=pytest.mark.slow),
    ],
)
def test_two_processes_give_the_curve_of_one(model: str, more: list[str], tmp_path: Path) -> None:
    said = [*CURVE, "dataset.batch_size=8", "trainer.max_epochs=8", *more]
    one, two = tmp_path / "one", tmp_path / "two"
    processes.train(tiny(model, *said), one)
    metrics = processes.train(tiny(model, *said, DDP), two)
    losses = curve(one, "step/loss")
    assert len(losses) >= 20
    assert curve(two, "step/loss") == pytest.approx(losses, rel=1e-5, abs=1e-5)
    assert curve(two, "train/loss") == pytest.approx(curve(one, "train/loss"), rel=1e-5, abs=1e-5)
    assert metrics["status"] == "finished"

"""Runs in Weights & Biases, offline, read back from the file that `wandb sync` would send."""

import json
from pathlib import Path

import pytest
from tools import read_csv, tiny
from written import items, pixels, records

from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

wandb = pytest.importorskip("wandb", reason="pip install '.[wandb]'")
STEP = "trainer/global_step"


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let wandb forget the settings of earlier tests, and the user's own."""
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()


@pytest.mark.slow
def test_a_run_is_written_offline_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = tiny(
        "vae",
        "logger=[csv,wandb]",
        "callbacks=default",
        "callbacks.figures.every_n_epochs=1",
        "logger.wandb.tags=[tiny]",
    )
    train(config, tmp_path / "first")
    written = records(tmp_path / "first")
    identifier = json.loads((tmp_path / "first/tracking.json").read_text())["wandb"]
    (run,) = [record.run for record in written if record.HasField("run")]
    assert (run.run_id, run.project, [*run.tags]) == (identifier, "scalian_exp", ["tiny"])
    assert run.display_name == "DenseVAE on FakeImages, first"
    configured = items(run.config.update)
    assert configured["model"]["network"] == config["model"]["network"]
    assert configured["seed"] == config["seed"]

    points = [items(record.history.item) for record in written if record.HasField("history")]
    for row in read_csv(tmp_path / "first/csv/metrics.csv"):
        step, expected = int(row["step"]), {k: float(v) for k, v in row.items() if v and k not in ("step", "epoch")}
        assert any(
            point.get(STEP) == step and all(point.get(k) == pytest.approx(v) for k, v in expected.items())
            for point in points
        ), row
    shown = {name: point[name] for point in points for name in point if "samples" in name}
    assert {"val/samples", "test/samples"} <= {name.removesuffix(".path") for name in shown}
    (media,) = (tmp_path / "first").glob("wandb/offline-run-*/files/media/images/test/samples_*.png")
    assert pixels(media) == pixels(tmp_path / "first/figures/test_samples.png")

    kept = [record.artifact for record in written if record.HasField("artifact")]
    kept += [
        r.request.log_artifact.artifact for r in written if r.HasField("request") and r.request.HasField("log_artifact")
    ]
    models = {alias: a for a in kept if a.type == "model" for alias in a.aliases}
    for name in ("best", "last"):
        (entry,) = models[name].manifest.contents
        assert entry.path == f"checkpoints/{name}.ckpt"
        assert entry.size == (tmp_path / f"first/checkpoints/{name}.ckpt").stat().st_size
    (results,) = [artifact for artifact in kept if artifact.type == "results"]
    assert {"config.yaml", "metrics.json", "figures/test_samples.png"} <= {e.path for e in results.manifest.contents}
    (ending,) = [record.exit for record in written if record.HasField("exit")]
    assert ending.exit_code == 0

    longer = {**config, "trainer": {**config["trainer"], "max_epochs": 2}}
    train(longer, tmp_path / "first")
    assert next(record.run.run_id for record in records(tmp_path / "first") if record.HasField("run")) == identifier


def test_online_without_a_key_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        Refusal, match=r"no API key: call `wandb login` .*WANDB_MODE=offline or logger\.wandb\.mode=off"
    ):
        train(tiny("vae", "logger=wandb"), tmp_path / "run")
    assert not (tmp_path / "run").exists()

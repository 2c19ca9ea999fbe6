"""The contents of a run's folder, and what is refused when it is resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tools import (
    ONE_STEP,
    make_unbeatable,
    tiny,
)

from scalian_exp.callbacks.provenance import AtomicCheckpoints
from scalian_exp.checkpoint import load
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train


def test_a_moved_run_still_knows_its_best_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train(tiny("vae", "trainer.max_epochs=2", "test=false"), tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    last, best = (tmp_path / f"moved/checkpoints/{name}.ckpt" for name in ("last", "best"))
    make_unbeatable(last)
    before = best.read_bytes()
    assert train(*resumed(["resume=moved", "trainer.max_epochs=3"]))["best"] == 0.0
    assert best.read_bytes() == before


def test_a_broken_last_checkpoint_is_refused_on_resume(tmp_path: Path) -> None:
    config = tiny("vae")
    train(config, tmp_path)
    last = tmp_path / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(Refusal, match="truncated"):
        train(config, tmp_path)


def test_a_failed_save_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    target = tmp_path / "a/last.ckpt"
    AtomicCheckpoints(tmp_path).save_checkpoint({"x": 1}, target)

    class Unpicklable:
        def __reduce__(self) -> str:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        AtomicCheckpoints(tmp_path).save_checkpoint({"x": Unpicklable()}, target)
    assert torch.load(target, weights_only=True) == {"x": 1}


def test_a_run_folder_holds_config_environment_metrics_and_figures(tmp_path: Path) -> None:
    config = tiny("vae", "callbacks=default", "logger=default", "callbacks.figures.every_n_epochs=1")
    metrics = train(config, tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {k: v for k, v in config.items() if k != "trust"}
    (environment,) = json.loads((tmp_path / "environment.json").read_text())
    assert torch.__version__.startswith(environment["packages"]["torch"])
    assert environment["seed"] == 0
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert metrics["test/active_units"] in (0, 1, 2)  # of two
    for name in ("test/neg_elbo", "test/nll_bound_iw3", "parameters", "seconds_per_epoch"):
        assert metrics[name] > 0
    assert metrics["samples_per_second"] > 0
    assert metrics["inference_ms_per_sample"] > 0
    assert {path.name for path in (tmp_path / "figures").glob("*.png")} == {
        f"{split}_{name}.png" for split in ("val", "test") for name in ("latent_map", "reconstructions", "samples")
    }
    again = train(*resumed([f"resume={tmp_path}"]))  # no epoch left to train
    assert again["seconds_per_epoch"] == metrics["seconds_per_epoch"]
    assert "samples_per_second" not in again
    assert (tmp_path / "csv/metrics.csv").read_text().count("\n") >= 3
    assert not list(tmp_path.rglob("*.part"))


def test_an_epochs_line_shows_validation_metrics_if_there_was_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every_second = ["trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"]
    train(tiny("vae", "callbacks=default", *every_second), tmp_path)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("train/loss" in line for line in lines)
    assert ["val/loss" in line for line in lines] == [False, True, True]  # the last epoch is always validated


def test_tensorboard_gets_curves_figures_hyperparameters_and_codes(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tiny("vae", "callbacks=default", "logger=tensorboard"), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert {"train/loss", "val/neg_elbo", "test/neg_elbo", "lr"} <= set(events.Tags()["scalars"])
    assert {"test/samples", "test/reconstructions", "test/latent_map"} <= set(events.Tags()["images"])
    hparams = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"model.network.latent_dim" in hparams
    assert "_hparams_/experiment" not in events.Tags()["tensors"]  # it would hold for all runs below a folder
    (table,) = (tmp_path / "tensorboard").rglob("tensors.tsv")
    assert len(table.read_text().splitlines()) == 20
    assert (table.parent / "sprite.png").exists()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:1000]), "truncated or not a PyTorch checkpoint"),
        (lambda file: file.write_text("hello"), "truncated or not a PyTorch checkpoint"),
        (lambda file: torch.save({"state_dict": {}}, file), "not written by scalian_exp"),
        (lambda file: torch.save([1, 2], file), "not written by scalian_exp"),
    ],
)
def test_broken_and_foreign_checkpoints_are_refused(damage: Any, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    torch.save({"scalian_exp": {"config": {}}, "state_dict": {"weight": torch.zeros(1000)}}, file)
    damage(file)
    with pytest.raises(Refusal, match=sentence):
        load(file)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="neither a checkpoint nor a run folder"):
        load(tmp_path)


def test_resume_refuses_changes_that_make_another_experiment(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="not a run folder"):
        resumed([f"resume={tmp_path / 'nowhere'}"])
    train(tiny("vae", *ONE_STEP), tmp_path)
    with pytest.raises(Refusal, match=r"did you mean 'trainer.max_epochs'\?"):
        resumed([f"resume={tmp_path}", "trainer.max_epoch=3"])
    with pytest.raises(Refusal, match="stays the same experiment"):
        resumed([f"resume={tmp_path}", "dataset=mnist"])
    for line in (
        "model.network.latent_dim=5",
        "dataset.image_size=[14,14]",
        "model.optimizer.lr=1",
        "~trainer.max_epochs",
    ):
        with pytest.raises(Refusal, match="stays the same experiment"):
            resumed([f"resume={tmp_path}", line])
    with pytest.raises(Refusal, match="must be a whole number"):
        resumed([f"resume={tmp_path}", "trainer.max_epochs=x"])
    train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=3"]))
    before = (tmp_path / "config.yaml").read_bytes()
    with pytest.raises(Refusal, match="has trained 3 epochs already"):
        train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=2"]))
    assert (tmp_path / "config.yaml").read_bytes() == before
    (tmp_path / "checkpoints/last.ckpt").rename(tmp_path / "aside.ckpt")
    with pytest.raises(Refusal, match=r"no checkpoints/last.ckpt to resume from"):
        resumed([f"resume={tmp_path}"])
    (tmp_path / "aside.ckpt").rename(tmp_path / "checkpoints/last.ckpt")
    config, folder = resumed([f"resume={tmp_path}"])
    assert folder == tmp_path
    assert config == yaml.safe_load((tmp_path / "config.yaml").read_text())

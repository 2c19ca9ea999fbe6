"""Where the monitored value only says how far a training has come, it ends none, and no search optimizes it."""

from pathlib import Path

import pytest
from commands import invoke
from tools import fake, tiny, widths

from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

STOPPING = ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "callbacks.figures=null"]
INSTEAD = ["+callbacks.early_stopping.monitor=val/pseudo_likelihood", "+callbacks.early_stopping.mode=max"]
SEARCH = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweep.dir=search", "test=false"]
SEARCH += ["logger=none", "trainer/accelerator=cpu", "trainer.max_epochs=2", "callbacks=pruning"]
BETTER = ["+callbacks.best.monitor=val/pseudo_likelihood", "+callbacks.best.mode=max"]
BETTER += ["+callbacks.pruning.monitor=val/pseudo_likelihood"]


def tiny_model(model: str, rate: str) -> list[str]:
    """Return the overrides of a tiny model, with learning rates."""
    return [f"model={model}", f"dataset={fake(model)}", *widths(model), f"model.optimizer.lr={rate}"]


@pytest.mark.parametrize(
    ("model", "monitor", "advice"),
    [
        ("rbm", "val/epochs_trained", f"monitor another metric, {' '.join(INSTEAD)}, or leave"),
        ("rbm_gaussian", "val/epochs_trained", "leave"),
        ("dbn", "val/epochs_trained", "leave"),
        ("gan", "val/epochs", "leave"),
        ("stacked_autoencoder", "val/layers_trained", "leave"),
    ],
)
def test_it_ends_no_training(
    model: str, monitor: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalian_exp.run.training.sketched", None)  # nothing is built
    sentence = f"{monitor} only says how far the training has come, not whether it improves; {advice} callbacks"
    layers = ["model.network.hidden=[8,6]"] if model == "dbn" else []
    with pytest.raises(Refusal) as refusal:
        train(tiny(model, "callbacks=early_stopping", *layers), tmp_path / "run")
    assert str(refusal.value) == f"callbacks.early_stopping: {sentence}.early_stopping out."
    assert not (tmp_path / "run").exists()


def test_the_advice_ends_a_training_that_learns_nothing(tmp_path: Path) -> None:
    idle = ["model.optimizer.lr=0.0", "trainer.max_epochs=40", "test=false"]
    assert train(tiny("rbm", *STOPPING, *INSTEAD, *idle), tmp_path)["epochs"] < 40


def test_no_search_optimizes_it(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra 'optuna' isn't installed")
    for model, others in (("rbm", f"search by another metric, {' '.join(BETTER)}, or list"), ("gan", "list")):
        for direction in ("null", "maximize"):
            options = [*tiny_model(model, "0.1,0.01"), f"hydra.sweeper.direction={direction}"]
            code, output = invoke(tmp_path, "scalian-train", *SEARCH, *options)
            assert code == 1
            assert f"so no trial is the best; {others} the values to try" in output
    mixed = ["model=vae,gan", "dataset=fake_images", "model.network.latent_dim=2"]
    assert "val/epochs only says how far" in invoke(tmp_path, "scalian-train", *SEARCH, *mixed)[1]
    assert not list(tmp_path.glob("search/*_*"))


def test_the_advice_lets_a_search_find_the_better_trial(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra 'optuna' isn't installed")
    code, output = invoke(tmp_path, "scalian-train", *SEARCH, *tiny_model("rbm", "1e-9,0.1"), *BETTER)
    assert code == 0, output
    (better,) = [line for line in output.splitlines() if line.startswith("command")]
    assert "model.optimizer.lr=0.1" in better
    assert "best val/pseudo_likelihood" in output

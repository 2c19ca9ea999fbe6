"""NaN or infinite values end a run and are never saved."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tools import tiny

from scalian_exp.checkpoint import read
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.tasks.divergence import not_finite


class Poison(pl.Callback):
    """Break a value after the last step of the second epoch, so that no later loss of that epoch shows it."""

    def __init__(self, what: str = "weight"):
        self.what = what

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == 1 and batch_idx == trainer.num_training_batches - 1:
            tensors = {**dict(task.named_parameters()), **dict(task.named_buffers())}
            broken = next(values for name, values in tensors.items() if name.endswith(self.what))
            with torch.no_grad():
                broken.view(-1)[0] = torch.nan if self.what == "weight" else torch.inf


def poisoned(model: str, what: str, *overrides: str) -> dict[str, Any]:
    config = tiny(model, "trainer.max_epochs=3", "test=false", *overrides)
    config["callbacks"]["poison"] = {"_target_": f"{__name__}.Poison", "what": what}
    return config


@pytest.mark.parametrize(
    ("model", "what"),
    [
        *[("rbm", "weight"), ("dbn", "weight"), ("gan", "weight"), ("autoencoder", "weight"), ("unet", "weight")],
        *[("unet", "running_var"), ("rbm", "visible_mean"), ("rbm", "hidden_bias")],
    ],
)
def test_values_that_became_nan_in_an_epochs_last_step_are_not_saved(model: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=rf"In epoch 2, .*{what}.* became NaN or infinite.*best\.ckpt .*last\.ckpt"):
        train(poisoned(model, what), tmp_path)
    for name in ("best", "last"):
        contents = read(tmp_path / f"checkpoints/{name}.ckpt")
        assert contents["epoch"] == 0
        assert not not_finite(contents["state_dict"])


def test_values_that_are_not_known_yet_may_be_nan(tmp_path: Path) -> None:
    """The upper RBM of a stack doesn't know the mean of its input until its training begins."""
    config = tiny("dbn", "model.network.hidden=[4,4]", "model.epochs_per_layer=2", "trainer.max_epochs=1")
    assert train(config, tmp_path)["status"] == "finished"
    assert not_finite(read(tmp_path / "checkpoints/last.ckpt")["state_dict"]) == ["network.rbms.1.visible_mean"]


@pytest.mark.parametrize(("model", "lr"), [("gan", 1e30), ("rbm", 1e38), ("autoencoder", 1e30)])
def test_a_training_whose_losses_overflow_is_refused(model: str, lr: float, tmp_path: Path) -> None:
    """The check doesn't depend on the losses' names."""
    with pytest.raises(Refusal, match=r"In epoch 1, .* became NaN or infinite.*lower learning rate"):
        train(tiny(model, f"model.optimizer.lr={lr}", "trainer.max_epochs=2", "test=false"), tmp_path)
    assert not (tmp_path / "checkpoints/last.ckpt").exists()


def test_a_monitored_value_that_is_nan_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scalian_exp.tasks.reconstruction import Reconstruction

    def nan_in_the_second_epoch(self: Any) -> dict[str, torch.Tensor]:
        return {"squared_error": torch.tensor(torch.nan)} if self.current_epoch == 1 else {}

    monkeypatch.setattr(Reconstruction, "val_totals", nan_in_the_second_epoch)
    with pytest.raises(Refusal, match=r"In epoch 2, .*val/squared_error became NaN"):
        train(tiny("autoencoder", "trainer.max_epochs=3", "test=false"), tmp_path)
    assert [read(tmp_path / f"checkpoints/{name}.ckpt")["epoch"] for name in ("best", "last")] == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_single_nan_or_infinity_is_detected(value: float, dtype: torch.dtype) -> None:
    largest = torch.full((7, 9), torch.finfo(dtype).max, dtype=dtype)
    broken = largest.clone()
    broken[3, 4] = value
    tensors = {"a": largest, "empty": torch.zeros(0), "numbers": torch.arange(3), "b": broken, "c": -largest}
    assert not_finite(tensors) == ["b"]
    assert not_finite({"numbers": torch.arange(3)}) == []


def test_sparse_tensors_are_checked_and_8_bit_floats_skipped() -> None:
    broken = torch.eye(3)
    broken[1, 1] = torch.nan
    tensors = {
        "coordinates": broken.to_sparse(),
        "rows": broken.to_sparse_csr(),
        "sound": torch.eye(3).to_sparse(),
        "bytes": torch.ones(3).to(torch.float8_e4m3fn),
        "none": torch.zeros(3, 3).to_sparse(),
    }
    assert not_finite(tensors) == ["coordinates", "rows"]

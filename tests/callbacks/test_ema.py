"""callbacks=ema averages weights as the formula says, and validates, keeps and tests the average."""

import math
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import FSDPStrategy
from pytorch_lightning.trainer.states import TrainerFn
from tools import differences, read_csv, tiny
from torch import Tensor, nn

from scalian_exp.build import build
from scalian_exp.callbacks.ema import EMA, KEY
from scalian_exp.checkpoint import load, read
from scalian_exp.commandline.shell import standalone_overrides
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.tasks.base import Task

AVERAGED = ["callbacks=[minimal,ema]", "callbacks.ema.decay=0.5"]
SPY = ["+callbacks.spy._target_=test_ema.Spy"]
MEANS = ("running_mean", "running_var", "visible_offset", "hidden_offset")


class Spy(pl.Callback):
    """Keeps the weights that the training has after each step, with the layer that it trains."""

    seen: list[tuple[int, dict[str, Tensor]]] = []  # noqa: RUF012
    steps = 0

    def on_train_batch_end(self, trainer: Any, task: Any, *_: Any) -> None:
        if trainer.global_step > self.steps:
            Spy.seen.append((int(getattr(task, "layer", 0)), deepcopy(task.state_dict())))
            self.steps = trainer.global_step


def trained(config: dict[str, Any], folder: Path) -> list[tuple[int, dict[str, Tensor]]]:
    Spy.seen = []
    train(config, folder)
    return Spy.seen


def twin(values: list[Tensor], decay: float) -> Tensor:
    """Sum all values with the weights that the recursion gives them in the end."""
    kept = [0.0, *(min(decay, (1 + t) / (10 + t)) for t in range(1, len(values)))]
    shares = [(1 - kept[k]) * math.prod(kept[k + 1 :]) for k in range(len(values))]
    assert sum(shares) == pytest.approx(1)
    return torch.stack([share * value.double() for share, value in zip(shares, values, strict=True)]).sum(0)


KINDS = {
    "gradient descent": ["autoencoder"],
    "accumulated gradients": ["autoencoder", "trainer.accumulate_grad_batches=2"],
    "batch norm": ["segnet"],
    "16 bits": ["autoencoder", "trainer.precision=bf16-true", "callbacks.ema.decay=0.999"],
    "two optimizers": ["gan"],
    "steps by hand, centred, with chains": ["rbm", "model.network.centred=true", "loss=persistent_cd", "loss.chains=4"],
    "layers in turn": ["dbn", "model.network.hidden=[4,4]", "model.epochs_per_layer=1"],
    "layers in turn, by gradient": ["stacked_autoencoder", "model.epochs_per_layer=1"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_average_is_that_of_a_slow_twin(kind: str, tmp_path: Path) -> None:
    model, *overrides = KINDS[kind]
    config = tiny(model, "trainer.max_epochs=3", *AVERAGED, *SPY, *overrides)
    seen = trained(config, tmp_path)
    contents = read(tmp_path / "checkpoints/last.ckpt")
    last, weights = seen[-1][1], contents["scalian_exp"][KEY]["weights"]
    assert not differences(dict(weights), dict(last))
    parameters = dict(load(tmp_path / "checkpoints/last.ckpt").task.named_parameters())
    of_turn = [state for layer, state in seen if layer == seen[-1][0]]
    assert len(of_turn) > 1
    for name, value in contents["state_dict"].items():
        if name in parameters or name.endswith(MEANS):
            assert value.dtype == torch.float32
            expected = twin([state[name] for state in of_turn], config["callbacks"]["ema"]["decay"])
            torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6, equal_nan=True)
        else:
            assert not differences(value, last[name], name)
    assert differences(dict(contents["state_dict"]), dict(last))


@pytest.mark.parametrize("model", ["segnet", "rbm", "gan", "dbn"])
def test_the_training_itself_does_not_change(model: str, tmp_path: Path) -> None:
    train(tiny(model, "trainer.max_epochs=2", "logger=csv"), tmp_path / "plain")
    train(tiny(model, "trainer.max_epochs=2", "logger=csv", *AVERAGED), tmp_path / "averaged")
    plain, averaged = (read(tmp_path / name / "checkpoints/last.ckpt") for name in ("plain", "averaged"))
    assert not differences(dict(plain["state_dict"]), dict(averaged["scalian_exp"][KEY]["weights"]))
    assert not differences(plain["optimizer_states"], averaged["optimizer_states"])
    plain, averaged = (read_csv(tmp_path / name / "csv/metrics.csv") for name in ("plain", "averaged"))
    for row, other in zip(plain, averaged, strict=True):
        assert {k: v for k, v in row.items() if "train/" in k} == {k: v for k, v in other.items() if "train/" in k}
    assert any(row.get("val/loss") != other.get("val/loss") for row, other in zip(plain, averaged, strict=True))


@pytest.mark.parametrize("model", ["autoencoder", "segnet", "rbm"])
def test_the_average_is_validated_kept_and_tested(model: str, tmp_path: Path) -> None:
    metrics = train(tiny(model, "trainer.max_epochs=3", *AVERAGED, "logger=csv"), tmp_path)
    validated = [row for row in read_csv(tmp_path / "csv/metrics.csv") if row.get("val/loss")]
    for file, losses in (
        ("last", [float(validated[-1]["val/loss"])]),
        ("best", [float(r["val/loss"]) for r in validated]),
    ):
        loaded = load(tmp_path / f"checkpoints/{file}.ckpt")
        data = build("dataset", loaded.config["dataset"])
        data.setup("fit")
        assert losses[-1 if file == "last" else loaded_epoch(loaded.file)] == pytest.approx(
            loss(loaded.task, data, "val")
        )
        if file == "best":
            assert metrics["test/loss"] == pytest.approx(loss(loaded.task, data, "test"), rel=1e-5)


def loaded_epoch(file: Path) -> int:
    return int(read(file)["epoch"])


def loss(task: Task, data: Any, split: str) -> float:
    """Compute the mean loss of a split with the weights that a task has."""
    with torch.no_grad():
        batches = [(len(batch["index"]), task.step(data.prepare(batch)).loss) for batch in data.loader(split)]
    return float(sum(count * value for count, value in batches)) / len(data.splits[split])


def test_a_run_without_checkpoints_is_tested_with_the_average(tmp_path: Path) -> None:
    without = ["~callbacks.best", "~callbacks.last"]
    kept = train(tiny("autoencoder", *AVERAGED, "trainer.max_epochs=2"), tmp_path / "kept")
    lost = train(tiny("autoencoder", *AVERAGED, "trainer.max_epochs=2", *without), tmp_path / "lost")
    plain = train(tiny("autoencoder", "trainer.max_epochs=2"), tmp_path / "plain")
    assert lost["test/loss"] == kept["test/loss"] != plain["test/loss"]


class Tied(pl.LightningModule):
    """Two layers with one weight."""

    turn = 0

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight


def test_all_names_of_a_shared_weight_hold_its_average() -> None:
    task, callback = Tied(), EMA(0.5)
    trainer: Any = SimpleNamespace(global_step=1, state=SimpleNamespace(fn=TrainerFn.FITTING))
    with torch.no_grad():
        for step, value in enumerate((1.0, 2.0), start=1):
            trainer.global_step = step
            task.first.weight.fill_(value)
            callback.on_train_batch_end(trainer, task, None, None, 0)
    checkpoint: dict[str, Any] = {"state_dict": task.state_dict(), "scalian_exp": {}}
    callback.on_save_checkpoint(trainer, task, checkpoint)
    expected = torch.full((2, 2), 1 * 2 / 11 + 2 * 9 / 11)
    for name in ("first.weight", "second.weight"):
        torch.testing.assert_close(checkpoint["state_dict"][name], expected)
        assert checkpoint["scalian_exp"][KEY]["weights"][name].unique() == 2


def test_a_resumed_average_follows_tensors_that_have_moved_since(tmp_path: Path) -> None:
    """A GPU's strategy moves the task after the checkpoint was loaded: its buffers are other tensors then."""
    train(tiny("segnet", *AVERAGED), tmp_path)
    task, contents, ema = load(tmp_path / "checkpoints/last.ckpt").task, read(tmp_path / "checkpoints/last.ckpt"), EMA()
    fitting = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING))
    ema.on_load_checkpoint(fitting, task, contents)
    task.double()
    ema.on_fit_start(fitting, task)
    own = task.state_dict(keep_vars=True)
    assert any(name.endswith("running_mean") for name in ema.followed)
    for name, average in ema.averages.items():
        assert ema.followed[name] is own[name]
        assert torch.equal(average, contents["state_dict"][name].double())


def test_divided_weights_are_refused() -> None:
    trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(Refusal, match=r"callbacks=ema averages whole weights, which FSDPStrategy divides"):
        EMA().setup(trainer, Tied(), "fit")


def test_a_job_of_a_search_runs_alone_with_its_other_callbacks() -> None:
    overrides = ["model=vae", "callbacks=[pruning,ema]"]
    assert standalone_overrides(overrides, {}) == ["model=vae", "callbacks=ema"]
    three = ["model=vae", "callbacks=[default,pruning,ema]"]
    assert standalone_overrides(three, {}) == ["model=vae", "callbacks=[default,ema]"]
    one = ["model=vae", "callbacks=pruning"]
    assert standalone_overrides(one, {"callbacks": "pruning"}) == ["model=vae", "callbacks=default"]
    assert standalone_overrides(["sweep=optuna_vae"], {"callbacks": "pruning"}) == [
        "sweep=optuna_vae",
        "hydra.mode=RUN",
        "callbacks=default",
    ]
    assert standalone_overrides(["callbacks=[default,ema]"], {}) == ["callbacks=[default,ema]"]
    assert standalone_overrides(["model=vae"], {}) == ["model=vae"]

"""A trial is the training itself, cut short: what fills its memory, fills the training's."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tools import of_each_kind, tiny
from torch import nn

from scalian_exp.build import build
from scalian_exp.callbacks.ema import EMA
from scalian_exp.refusal import Refusal
from scalian_exp.run.batch_size import by_trials
from scalian_exp.run.trial import fits
from scalian_exp.tasks.greedy import GreedyReconstruction
from scalian_exp.tasks.reconstruction import Reconstruction


def data_of(config: dict[str, Any]) -> Any:
    """Return the data of a config, set up."""
    data = build("dataset", config["dataset"])
    data.setup("fit")
    return data


def fills(hook: Callable[..., Any], most: int, when: Callable[[Any], bool] = lambda _: True) -> Callable[..., Any]:
    """Return a hook that runs out of memory where a batch of images among its arguments is larger than `most`."""

    def instead(self: Any, *arguments: Any) -> Any:
        sizes = [len(each["image"]) for each in arguments if isinstance(each, dict) and "image" in each]
        if max(sizes) > most and when(self):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return hook(self, *arguments)

    return instead


@pytest.mark.parametrize("model", of_each_kind())
def test_a_trial_of_any_model_changes_nothing(model: str) -> None:
    config = tiny(model, "trainer.find_batch_size=true", "callbacks=default")
    data = data_of(config)
    before, state = data.batch_size, torch.get_rng_state()
    assert fits(config, data, 8)
    assert data.batch_size == before
    assert data.trainer is None
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_that_fills_the_memory_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reconstruction, "step", fills(Reconstruction.step, 16))
    config = tiny("autoencoder")
    assert by_trials(config, data_of(config), 48) == 16


def test_the_average_of_the_weights_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EMA, "on_train_batch_end", fills(EMA.on_train_batch_end, 4))
    config = tiny("autoencoder", "callbacks=[default,ema]")
    assert by_trials(config, data_of(config), 48) == 4


@pytest.mark.parametrize("layer", [0, 1])
def test_each_layer_that_is_trained_in_turn_is_tried(layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    step = fills(GreedyReconstruction.step, 8, lambda task: task.turn == layer)
    monkeypatch.setattr(GreedyReconstruction, "step", step)
    config = tiny("stacked_autoencoder", "model.network.hidden=[8,4]", "model.epochs_per_layer=50")
    assert by_trials(config, data_of(config), 48) == 8


def test_network_and_steps_are_those_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    seen: list[tuple[bool, int]] = []
    step = Reconstruction.step

    def watched(self: Any, batch: Any) -> Any:
        weight = next(module.weight for module in self.network.modules() if isinstance(module, nn.Conv2d))
        seen.append((weight.is_contiguous(memory_format=torch.channels_last), self.trainer.accumulate_grad_batches))
        return step(self, batch)

    monkeypatch.setattr(Reconstruction, "step", watched)
    monkeypatch.setattr(nn.Module, "compile", lambda network: compiled.append(network))
    config = tiny(
        *["conv_autoencoder", "compile=true", "channels_last=true", "trainer.accumulate_grad_batches=2"],
        *["+trainer.val_check_interval=2", "trainer.overfit_batches=1", "+trainer.max_time=00:01:00:00"],
    )
    assert fits(config, data_of(config), 4)
    assert seen == [(True, 2)] * 8  # four steps of two batches each
    assert [type(each).__name__ for each in compiled] == ["ConvAutoencoder"]


def test_what_the_training_refuses_a_trial_refuses() -> None:
    config = tiny("autoencoder", "cuda_graphs=true")
    with pytest.raises(Refusal, match="cuda_graphs=true needs an NVIDIA GPU"):
        fits(config, data_of(config), 4)


def test_balanced_classes_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("unet", "dataset.balanced=true")
    data = data_of(config)
    passes: list[Any] = []
    once = type(data).pixels_of_images

    def counted(self: Any) -> Iterator[Any]:
        passes.append(self)
        return once(self)

    monkeypatch.setattr(type(data), "pixels_of_images", counted)
    by_trials(config, data, 4)
    assert passes == [data]

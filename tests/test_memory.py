"""Networks and data that don't fit in memory are refused before they are created."""

import math
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy
import pytest
import torch
from tools import kinds, tiny

from scalian_exp.build import build, build_task
from scalian_exp.memory import amount, check_fits, check_images, total
from scalian_exp.refusal import Refusal
from scalian_exp.run import network_size
from scalian_exp.run.network_size import activations, check_batch, room, sketched
from scalian_exp.run.training import train


def set_up(config: dict) -> object:
    data = build("dataset", config["dataset"])
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.mark.parametrize("model", kinds())
def test_a_networks_weights_are_counted_without_building_it(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []
    monkeypatch.setattr(network_size, "check_fits", lambda size, *_: counted.append(size))
    config = tiny(model)
    before = torch.get_rng_state()
    check_batch(config, set_up(config), sketched(config))
    assert torch.equal(before, torch.get_rng_state())  # the estimate draws no random numbers
    task = build_task(config)
    assert counted[0] == sum(t.numel() * t.element_size() for t in [*task.parameters(), *task.buffers()])


def test_activations_are_counted_that_the_backward_pass_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """For two dense layers and a ReLU these are the input, the hidden units and the code, counted by hand."""
    monkeypatch.setattr(network_size, "ACTIVATIONS_MATTER", math.inf)
    config = tiny("mlp_classifier", "model.network.hidden=[5]")
    data = set_up(config)
    with torch.device("meta"):
        task = build("model", config["model"], loss=build("loss", config["loss"]))
    pixels = 4 * math.prod(config["dataset"]["image_size"]) * config["dataset"]["in_channels"]
    assert pixels + 4 * 5 <= activations(task, data, 1) <= pixels + 3 * 4 * 5 + 4 * 10
    assert activations(task, data, 7) == 7 * activations(task, data, 1)


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("autoencoder", ["model.network.hidden=[100000000]"]),
        ("autoencoder", ["model.network.hidden=[2147483647,2147483647]"]),
        ("autoencoder", ["model.network.latent_dim=2147483647"]),
        ("autoencoder", ["dataset.image_size=[20000,20000]"]),
        ("autoencoder", ["dataset.image_size=[1000000,1000000]"]),
        ("autoencoder", ["dataset.train_size=2147483647"]),
        ("autoencoder", ["dataset.in_channels=2147483647"]),
        ("unet", ["model.network.width=1", "dataset.image_size=[512,512]", "dataset.batch_size=24"]),
        ("fcn32s", ["model.network.width=100000"]),
        ("draw_small", ["model.network.lstm_units=1000000"]),
        ("rbm", ["model.network.hidden=[2147483647]"]),
    ],
)
def test_requirements_beyond_the_memory_are_refused_with_their_size(
    model: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("memory", "run.network_size"):
        monkeypatch.setattr(f"scalian_exp.{module}.total", lambda: 16 * 10**9)
    with pytest.raises(Refusal, match=r"would take at least [\d.]+ [GTPE]B of memory, but this machine has 16 GB"):
        train(tiny(model, *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Custom(torch.nn.Module):
    """Custom network with a lazy part, weights that are copied in, and a frozen part that is registered twice."""

    total_stride, num_classes = 1, 3

    def __init__(self) -> None:
        super().__init__()
        warnings.warn("made", stacklevel=1)
        numpy.random.rand()
        self.head, self.frozen = torch.nn.LazyConv2d(3, 1), torch.nn.Conv2d(1, 100, 1, bias=False)
        self.again = self.frozen
        self.frozen.load_state_dict({"weight": torch.ones(100, 1, 1, 1)})
        self.frozen.requires_grad_(False)
        self.head(torch.zeros(1, 1, 2, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            x = self.frozen(x)
        return self.head(x.square())


def custom(*overrides: str) -> dict:
    """Return a config that trains the custom network."""
    config = tiny("unet", "dataset.in_channels=1", *overrides)
    config["model"]["network"] = {"_target_": f"{__name__}.Custom"}
    return config


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the sizes that are checked: weights, weights and gradients, weights and activations."""
    sizes: list[float] = []
    monkeypatch.setattr(network_size, "ACTIVATIONS_MATTER", math.inf)
    monkeypatch.setattr(network_size, "check_fits", lambda size, *_: sizes.append(size))
    return sizes


def test_a_sketch_has_no_side_effects_and_counts_gradients_of_trained_weights_only(counted: list[float]) -> None:
    numpys = numpy.random.get_state()[1].tolist()  # type: ignore[union-attr]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sketched(custom()).task is not None
    assert numpy.random.get_state()[1].tolist() == numpys  # type: ignore[union-attr]
    trained, frozen = 3 * 1 + 3, 100
    metrics = counted[0] - 4 * (trained + frozen)
    assert 0 <= metrics < 1000  # the metrics' confusion matrices
    assert counted[1] - counted[0] == 4 * trained


def test_parts_that_stay_lazy_are_not_counted(counted: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    config = custom()
    config["model"]["network"] = {"_target_": "torch.nn.LazyConv2d", "out_channels": 3, "kernel_size": 1}
    monkeypatch.setattr(torch.nn.LazyConv2d, "total_stride", 1, raising=False)
    assert sketched(config).task is not None
    assert counted[0] < 1000


def test_a_network_that_needs_actual_values_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_values(self: Custom) -> None:
        torch.nn.Module.__init__(self)
        raise ValueError("no such number" if torch.zeros(1).is_meta else "")

    monkeypatch.setattr(Custom, "__init__", needs_values)
    assert sketched(custom()).task is None


@pytest.mark.parametrize(("precision", "share"), [("32-true", 1.0), ("bf16-mixed", 0.5)])
def test_activations_are_counted_as_in_training(precision: str, share: float, counted: list[float]) -> None:
    """The convolution's input is counted in training mode, for crops, in the training's precision."""
    crop = ["dataset/augmentation=crop", "dataset.augmentation.crop.size=[8,8]"]
    config = custom(f"trainer.precision={precision}", *crop)
    data = set_up(config)
    check_batch(config, data, sketched(config))
    batch = min(data.batch_size, len(data.splits["train"]))
    assert counted[2] == share * (counted[0] + 4 * batch * 8 * 8)


class GPU(NamedTuple):
    total_memory: int


def test_the_limit_is_the_memory_of_the_training_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: GPU(10**12 * (1 + index)))
    monkeypatch.setattr(network_size, "total", lambda: 10**9)
    for accelerator in ("auto", "gpu", "cuda"):
        assert room({"accelerator": accelerator}) == (2 * 10**12, "this machine's GPU")
    assert room({"accelerator": "cpu"}) == (10**9, "this machine")
    assert room({"accelerator": "gpu", "strategy": {"_target_": "x.FSDPStrategy"}})[0] == math.inf
    with pytest.raises(Refusal, match=r"at least 2 kB of memory, but this machine's GPU has 1 kB"):
        check_fits(2000, "This", "don't", (1000, "this machine's GPU"))


def test_amounts_of_memory_are_shown_in_readable_units() -> None:
    assert [amount(size) for size in (0, 1, 999, 1e3, 25.3e9, 2.0**64)] == [
        *("0 bytes of memory", "1 bytes of memory", "999 bytes of memory", "1 kB of memory"),
        *("25.3 GB of memory", "18.4 EB of memory"),
    ]


def test_total_memory_counts_containers_and_swap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert total() > 10**8
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "unlimited").write_text("max\n")
    monkeypatch.setattr("scalian_exp.memory.CONTAINERS", (tmp_path / "memory.max", tmp_path / "unlimited", "/nowhere"))
    monkeypatch.setattr("scalian_exp.memory.MACHINE", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nSwapTotal:       3 kB\n")
    assert total() == 1000 + 3 * 1024
    (tmp_path / "meminfo").unlink()
    assert total() == 1000
    check_fits(1000, "This", "don't")
    check_images(2, (1, 25, 5))
    with pytest.raises(Refusal, match=r"3 images of 1×25×5 would take at least 1\.5 kB"):
        check_images(3, (1, 25, 5))


def test_a_stride_beyond_the_images_is_refused_before_the_network_takes_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalian_exp.run.training.build_task", lambda _: pytest.fail("the network was built"))
    with pytest.raises(Refusal, match=r"32×48 pixels are too small for UNet.*stride of 256"):
        train(tiny("unet", "model.network.depth=8", "dataset.image_size=[32,48]"), tmp_path / "run")
    assert not (tmp_path / "run").exists()

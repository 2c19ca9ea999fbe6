"""What doesn't fit in memory is refused before it is made."""

import math
from pathlib import Path

import pytest
import torch
from conftest import kinds, tiny

from scalian_exp import network_size
from scalian_exp.build import build, build_task
from scalian_exp.memory import amount, check_fits, check_images, total
from scalian_exp.network_size import activations, check_batch, sketched
from scalian_exp.refusal import Refusal
from scalian_exp.train import train


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
    assert torch.equal(before, torch.get_rng_state())  # the estimate takes nothing from the run's chance
    task = build_task(config)
    copies = 1 if task.optimizer is None else 4
    expected = sum(copies * p.numel() * p.element_size() for p in task.parameters())
    expected += sum(b.numel() * b.element_size() for b in task.buffers())
    assert counted[0] == pytest.approx(expected, rel=0.02)


def test_activations_are_those_that_the_backward_pass_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two dense layers and a ReLU on 16×16 pixels: input, hidden units, code; counted by hand."""
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
def test_more_than_memory_holds_is_refused_with_the_bytes(
    model: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("memory", "network_size"):
        monkeypatch.setattr(f"scalian_exp.{module}.total", lambda: 16 * 10**9)
    with pytest.raises(Refusal, match=r"would take at least [\d.]+ [GTPE]B of memory, but this machine has 16 GB"):
        train(tiny(model, *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_memory_is_counted_in_units_for_people() -> None:
    assert [amount(size) for size in (0, 1, 999, 1e3, 25.3e9, 2.0**64)] == [
        *("0 bytes of memory", "1 bytes of memory", "999 bytes of memory", "1 kB of memory"),
        *("25.3 GB of memory", "18.4 EB of memory"),
    ]


def test_all_memory_is_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert total() > 10**8
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "unlimited").write_text("max\n")
    monkeypatch.setattr("scalian_exp.memory.CONTAINERS", (tmp_path / "memory.max", tmp_path / "unlimited", "/nowhere"))
    assert total() == 1000
    check_fits(1000, "This", "don't")
    check_images(2, (1, 25, 5))
    with pytest.raises(Refusal, match=r"3 images of 1×25×5 would take at least 1\.5 kB"):
        check_images(3, (1, 25, 5))


@pytest.mark.parametrize(
    ("model", "lacking"),
    [
        ("unet", "total_stride"),
        ("vae", "importance"),
        ("gan", "discriminator"),
        ("rbm", "rbms"),
        ("pixelcnn", "sample"),
    ],
)
def test_a_network_that_lacks_what_its_task_needs_is_refused_before_the_data_are_read(
    model: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(model)
    config["model"]["network"] = {"_target_": "torch.nn.Identity"}
    monkeypatch.setattr("scalian_exp.train.one_at_a_time", lambda _: pytest.fail("data were asked for"))
    with pytest.raises(Refusal, match=rf"Identity \(model.network\) lacks what \w+ needs of a network.*{lacking}"):
        train(config, tmp_path / "run")


def test_a_stride_beyond_the_images_is_refused_before_the_network_takes_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalian_exp.build.build_task", lambda _: pytest.fail("the network was built"))
    with pytest.raises(Refusal, match=r"32×48 pixels are too small for UNet.*stride of 256"):
        train(tiny("unet", "model.network.depth=8", "dataset.image_size=[32,48]"), tmp_path / "run")
    assert not (tmp_path / "run").exists()

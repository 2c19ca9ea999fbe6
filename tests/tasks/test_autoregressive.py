"""Autoregressive networks: training, sampling, completion and likelihoods."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tools import composed, tiny
from torch import Tensor
from torchvision import datasets

from scalian_exp.actions.complete import Complete
from scalian_exp.actions.likelihood import Likelihood
from scalian_exp.actions.pixel_by_pixel import with_progress
from scalian_exp.actions.sample import Sample
from scalian_exp.build import build_task
from scalian_exp.checkpoint import Loaded, load
from scalian_exp.datasets.cifar import CIFAR10
from scalian_exp.losses.likelihood import NegativeLogLikelihood
from scalian_exp.refusal import Refusal
from scalian_exp.run.init_from import start_network_from
from scalian_exp.run.training import train

BINARY = ["dataset=fake_binary", "dataset.image_size=[6,8]", "model.network.depth=1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a network on black and white pixels and return its folder."""
    folder = tmp_path_factory.mktemp("pixels") / "run"
    train(tiny("pixelrnn_diagonal", *BINARY), folder)
    return folder


@pytest.fixture
def model(run: Path) -> Loaded:
    return load(run)


def picture(folder: Path, mode: str, size: tuple[int, int] = (8, 6)) -> Path:
    """Save an image of black and white stripes."""
    array = np.zeros((size[1], size[0]), dtype=np.uint8)
    array[::2] = 255
    file = folder / f"{mode}_{size[0]}.png"
    Image.fromarray(array).convert(mode).save(file)
    return file


def test_the_loss_of_uniform_predictions_is_one_or_eight_bits_per_pixel() -> None:
    x = torch.randint(0, 2, (3, 1, 4, 5)).float()
    loss = NegativeLogLikelihood()
    torch.testing.assert_close(loss(torch.zeros_like(x), x), torch.full((3,), 20 * math.log(2)))
    colours = torch.randint(0, 256, (3, 3, 4, 5)) / 255
    torch.testing.assert_close(loss(torch.zeros(3, 256, 3, 4, 5), colours), torch.full((3,), 60 * 8 * math.log(2)))
    certain = torch.where(x == 1, 50.0, -50.0)
    assert float(loss(certain, x).max()) < 1e-9
    assert float(loss(-certain, x).min()) == pytest.approx(20 * 50)


def test_metrics_are_in_nats_per_image_and_bits_per_dimension(run: Path, model: Loaded) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/bits_per_dim"] == pytest.approx(metrics["test/nll"] / 48 / math.log(2), rel=1e-5)
    assert metrics["test/loss"] == metrics["test/nll"]
    x = torch.randint(0, 2, (4, 1, 6, 8)).float()
    with torch.no_grad():
        loss, logs, _ = model.task.step({"image": x})
        by_hand = torch.distributions.Bernoulli(logits=model.task.network(x)).log_prob(x)
    assert float(loss) == pytest.approx(-float(by_hand.sum()) / 4, rel=1e-5)
    assert set(logs) == {"nll", "bits_per_dim"}


@pytest.mark.parametrize(
    ("dataset", "levels", "channels"),
    [("mnist_binarized", 2, 1), ("mnist", 256, 1), ("cifar10", 256, 3), ("sklearn_digits", 17, 1)],
)
def test_the_data_set_determines_the_levels_of_a_pixel(dataset: str, levels: int, channels: int) -> None:
    config = OmegaConf.to_container(composed("model=pixelcnn", f"dataset={dataset}"), resolve=True)
    network = build_task(config).network  # type: ignore[arg-type]
    assert (network.levels, network.shape[0]) == (levels, channels)
    assert network.head[-1].out_channels == (channels if levels == 2 else channels * levels)


def test_grey_data_are_refused_for_a_binary_network(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="FakeImages has pixels of other values, but this network's are black or white"):
        train(tiny("pixelcnn", "dataset=fake_images", "dataset.levels=2"), tmp_path / "run")


def test_a_network_trains_on_digits_with_seventeen_levels(tmp_path: Path) -> None:
    overrides = ["dataset=sklearn_digits", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"]
    metrics = train(tiny("pixelcnn", *overrides, "trainer.limit_test_batches=1"), tmp_path / "run")
    assert 0 < metrics["test/bits_per_dim"] < 6


def test_actions_write_pictures(model: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = Sample(count=4).run(model, tmp_path)
    files += Complete(count=3, completions=2, temperature=0.5).run(model, tmp_path)
    assert capsys.readouterr().out.count("drawing      row") == 8  # without a terminal: four lines a picture
    files += Likelihood(count=3).run(model, tmp_path)
    assert [file.name for file in files] == ["samples.png", "completed.png", "likelihood.png"]
    assert all(file.stat().st_size > 0 for file in files)


def test_only_the_white_part_of_a_mask_is_completed(model: Loaded, tmp_path: Path) -> None:
    image, mask = picture(tmp_path, "L"), tmp_path / "mask.png"
    missing = np.zeros((6, 8), dtype=np.uint8)
    missing[1:3, 2:7] = 255
    Image.fromarray(missing).save(mask)
    original = np.asarray(Image.open(image)) / 255
    drawn = []
    for seed in range(3):
        _, output = Complete(image=str(image), mask=str(mask), seed=seed).run(model, tmp_path / str(seed))
        completed = np.asarray(Image.open(output))[..., 0] / 255
        assert set(np.unique(completed)) <= {0, 1}
        assert (completed == original)[missing == 0].all()
        drawn.append(completed)
    assert not all((drawn[0] == other).all() for other in drawn[1:])


def test_the_likelihood_action_prints_the_networks_likelihood(
    model: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = picture(tmp_path, "L")
    Likelihood(image=str(image)).run(model, tmp_path)
    x = torch.zeros(1, 1, 6, 8)
    x[:, :, ::2] = 1
    with torch.no_grad():
        nll = float(model.task.loss(model.task.network(x), x))
        expected, nats = model.task.network.next_pixel(x)
    assert f"nll          {nll:.2f} nats per image" in capsys.readouterr().out
    torch.testing.assert_close(torch.exp(-nats), torch.where(x == 1, expected, 1 - expected))


@pytest.mark.parametrize(
    ("mode", "arguments", "sentence"),
    [
        ("RGB", {}, "has 3 channels, but this network's images have 1; save it in grey"),
        ("grey", {}, "has pixels of other values, but this network's are black or white"),
        ("L", {"mask": (4, 6)}, r"has 6×4 pixels \(height × width\), but the images have 6×8"),
        ("L", {"mask": "nowhere.png"}, "There is no image file nowhere.png"),
        ("L", {"region": "box", "share": 0.0}, "Nothing is missing"),
    ],
)
def test_unsuitable_images_and_masks_are_refused(
    mode: str, arguments: dict[str, Any], sentence: str, model: Loaded, tmp_path: Path
) -> None:
    if mode == "grey":
        image = tmp_path / "grey.png"
        Image.fromarray(np.full((6, 8), 99, dtype=np.uint8)).save(image)
    else:
        image = picture(tmp_path, mode)
    if isinstance(arguments.get("mask"), tuple):
        arguments = {"mask": str(picture(tmp_path, "L", arguments["mask"]))}
    with pytest.raises(Refusal, match=sentence):
        Complete(image=str(image), **arguments).run(model, tmp_path / "out")


def test_a_temperature_is_refused_unless_the_network_is_autoregressive(tmp_path: Path) -> None:
    train(tiny("vae", "test=false"), tmp_path / "run")
    with pytest.raises(Refusal, match="leave temperature out"):
        Sample(temperature=0.5).run(load(tmp_path / "run"), tmp_path)


def test_an_interruption_keeps_the_rows_drawn_so_far(
    model: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = model.task.network
    uninterrupted = network.pixel_by_pixel

    def interrupted(*arguments: Any) -> Iterator[Tensor]:
        for row, image in enumerate(uninterrupted(*arguments)):
            yield image
            if row == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(network, "pixel_by_pixel", interrupted)
    (file,) = Sample(count=4).run(model, tmp_path)
    assert file.is_file()
    assert "Interrupted: 2 of 6 rows are drawn; the others are left black." in capsys.readouterr().out


def test_a_terminal_gets_a_progress_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    images = [torch.zeros(1), torch.ones(1)]
    assert list(with_progress(iter(images), 2)) == images
    assert "row" not in capsys.readouterr().out


def test_a_multiscale_network_samples_and_completes(tmp_path: Path) -> None:
    train(tiny("pixelrnn_multiscale", "dataset=fake_binary", "dataset.image_size=[6,8]"), tmp_path / "run")
    model = load(tmp_path / "run")
    (file,) = Sample(count=2).run(model, tmp_path)
    assert file.is_file()
    x, known = torch.randint(0, 2, (3, 1, 6, 8)).float(), torch.rand(3, 1, 6, 8) < 0.5
    assert torch.equal(model.task.network.complete(x, known)[known], x[known])


class FewPhotos:
    """Stand-in for torchvision's CIFAR10 that holds a few images in memory."""

    base_folder, filename = "cifar-10-batches-py", "cifar-10-python.tar.gz"

    def __init__(self, root: str, train: bool, download: bool):
        count = 4 if train else 2
        self.data = np.arange(count * 32 * 32 * 3).reshape(count, 32, 32, 3).astype(np.uint8)
        self.targets = list(range(count))


def test_cifar_is_read_with_its_channels_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "CIFAR10", FewPhotos)
    data = CIFAR10(str(tmp_path), 3, [32, 32], val_size=1)
    data.setup()
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [3, 1, 2]
    image = data.splits["test"][torch.tensor([1])]["image"][0]
    assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(FewPhotos("", False, False).data[1]))

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(FewPhotos, "__init__", broken)
    with pytest.raises(Refusal, match=r"put cifar-10-python.tar.gz into"):
        CIFAR10(str(tmp_path), 3, [32, 32], val_size=1).setup()


def test_a_pixel_network_is_initialised_from_another_run(tmp_path: Path) -> None:
    train(tiny("pixelcnn", "test=false"), tmp_path / "run")
    theirs = load(tmp_path / "run").task.network
    ours = build_task(tiny("pixelcnn", "seed=1")).network
    start_network_from(ours, SimpleNamespace(state_dict=dict), str(tmp_path / "run"))
    assert all(torch.equal(values, ours.state_dict()[name]) for name, values in theirs.state_dict().items())

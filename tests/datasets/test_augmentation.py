"""Augmentation transforms images and their masks together."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from scalian_exp.batches import VOID_BYTE
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.datasets.augmentation import GridDeformation, RandomCrop, RandomScale, augmented, size_after
from scalian_exp.datasets.fake import FakeMasks
from scalian_exp.refusal import Refusal


def painted(count: int = 6, height: int = 20, width: int = 30) -> tuple[Tensor, Tensor]:
    """Make images whose pixels are 20 times their class, in patches of 5×5, and their masks."""
    labels = torch.randint(1, 10, (count, height // 5, width // 5), dtype=torch.uint8)
    labels = labels.repeat_interleave(5, 1).repeat_interleave(5, 2)
    return labels.unsqueeze(1) * 20, labels


def test_crops_and_flips_treat_image_and_mask_alike_and_differ_between_examples() -> None:
    images, labels = (x[:1].repeat(8, *[1] * (x.dim() - 1)) for x in painted())
    crops, cut = augmented(images, labels, [RandomCrop([8, 12]), v2.RandomHorizontalFlip()])
    assert crops.shape == (8, 1, 8, 12)
    assert torch.equal(crops.squeeze(1), cut * 20)
    assert len({tuple(mask.flatten().tolist()) for mask in cut}) > 4
    patches = {tuple(p.flatten().tolist()) for p in labels[0].unfold(0, 8, 1).unfold(1, 12, 1).flatten(0, 1)}
    patches |= {tuple(p.flip(1).flatten().tolist()) for p in labels[0].unfold(0, 8, 1).unfold(1, 12, 1).flatten(0, 1)}
    assert all(tuple(mask.flatten().tolist()) in patches for mask in cut)


def test_a_crop_larger_than_the_image_is_padded_with_void() -> None:
    images, labels = painted()
    crops, cut = augmented(images, labels, [RandomCrop([26, 24])])  # taller, but narrower
    assert cut.shape == (6, 26, 24)
    for crop, mask in zip(crops, cut, strict=True):
        rows = (mask != VOID_BYTE).all(1)
        assert int(rows.sum()) == 20
        assert bool((mask[~rows] == VOID_BYTE).all())
        assert int(crop[0][~rows].sum()) == 0
        assert torch.equal(crop[0][rows], mask[rows] * 20)


def test_scaling_interpolates_images_and_takes_the_nearest_class() -> None:
    images, labels = painted(1)
    scaled, mask = augmented(images, labels, [RandomScale(2.0, 2.0)])
    assert torch.equal(mask[0], labels[0].repeat_interleave(2, 0).repeat_interleave(2, 1))
    inside = torch.zeros(40, 60, dtype=torch.bool)
    for row in range(4):
        for column in range(6):
            inside[row * 10 + 2 : row * 10 + 8, column * 10 + 2 : column * 10 + 8] = True
    assert torch.equal(scaled[0, 0][inside], (mask[0] * 20)[inside])
    assert scaled.unique().numel() > images.unique().numel()  # between the patches
    y, x = torch.meshgrid(torch.arange(90) - 44.5, torch.arange(90) - 44.5, indexing="ij")
    disc = (y.square() + x.square() < 30**2).byte()
    for factor in (0.6, 0.9, 1.1, 1.37):
        image, mask = augmented(disc[None, None] * 255, disc[None], [RandomScale(factor, factor)])
        for layer in (image[0, 0] / 255, mask[0].double()):  # the disc stays centred in both
            centre = (layer.sum(1) @ torch.arange(len(layer)).to(layer) / layer.sum()).item()
            assert centre == pytest.approx((len(layer) - 1) / 2, abs=0.2)
    factors = [size_after([RandomScale(0.5, 1.5), RandomCrop([10, 10])], (1, 20, 30))]
    assert factors == [(10, 10)]
    sides = [RandomScale(0.5, 1.5).make_params([images[0]])["size"] for _ in range(200)]
    assert 10 <= min(height for height, _ in sides) <= 12
    assert 28 <= max(height for height, _ in sides) <= 30
    assert all(abs(width - 1.5 * height) <= 1 for height, width in sides)


def test_deformation_samples_like_scipy() -> None:
    """Images are sampled bilinearly and masks at the nearest pixel, mirrored at the outermost pixels' centres."""
    image = torch.rand(3, 13, 17)
    mask = torch.randint(0, 9, (13, 17), dtype=torch.uint8)
    displacement = torch.randn(2, 13, 17) * 4
    move = GridDeformation()
    moved = move.transform(tv_tensors.Image(image), {"displacement": displacement})
    cut = move.transform(tv_tensors.Mask(mask), {"displacement": displacement})
    y, x = np.mgrid[:13, :17].astype(float)
    at = [y + displacement[1].numpy(), x + displacement[0].numpy()]
    for channel, expected in zip(moved, image, strict=True):
        assert np.allclose(channel.numpy(), map_coordinates(expected.numpy(), at, order=1, mode="mirror"), atol=1e-4)
    assert np.array_equal(cut.numpy(), map_coordinates(mask.numpy(), at, order=0, mode="mirror"))
    assert cut.dtype == torch.uint8


def test_deformation_displaces_the_points_of_a_grid() -> None:
    """The displacements of the 3×3 grid points are normal, with the requested standard deviation."""
    move = GridDeformation(sigma=10.0, points=3)
    fields = torch.stack([move.make_params([torch.empty(1, 41, 61)])["displacement"] for _ in range(500)])
    assert fields.shape == (500, 2, 41, 61)
    nodes = fields[:, :, ::20, ::30]
    assert nodes.shape[2:] == (3, 3)
    assert float(nodes.std()) == pytest.approx(10, rel=0.03)  # 9,000 draws: standard error 0.7 %
    correlation = torch.corrcoef(nodes.flatten(1).T) - torch.eye(18)
    assert float(correlation.abs().max()) < 0.2
    steps = fields.diff(dim=3).abs()
    assert float(steps.max()) < 5  # smooth over the 30 pixels between points


def test_random_numbers_come_only_from_the_global_generator() -> None:
    images, labels = painted()
    steps = [GridDeformation(3.0), RandomScale(), RandomCrop([12, 12]), v2.RandomHorizontalFlip()]
    results = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        results.append(augmented(images, labels, steps)[0])
        state = torch.get_rng_state()
        assert size_after(steps, (1, 20, 30)) == (12, 12)
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


class Trainer:
    """Stand-in for a Trainer, with the attributes that data modules read."""

    lightning_module = torch.nn.Linear(1, 1)
    lightning_module.dtype = torch.float32

    def __init__(self, training: bool, overfit_batches: int = 0):
        self.training, self.overfit_batches, self.current_epoch = training, overfit_batches, 0


def test_only_training_examples_are_augmented_except_when_overfitting() -> None:
    data = FakeMasks(3, [32, 32], 4, 255, augmentation={"crop": RandomCrop([16, 24])})
    data.setup()
    assert data.training_size == (16, 24)
    raw = data.splits["train"][torch.arange(4)]
    for trainer, size in (
        (Trainer(training=True), (16, 24)),
        (Trainer(training=False), (32, 32)),
        (Trainer(training=True, overfit_batches=2), (32, 32)),
        (None, (32, 32)),
    ):
        data.trainer = trainer  # type: ignore[assignment]
        batch = data.prepare(dict(raw))
        assert batch["image"].shape == (4, 3, *size)
        assert batch["mask"].shape == (4, *size)
        assert batch["mask"].dtype == torch.int64
        assert set(batch["mask"].unique().tolist()) <= {-100, 0, 1, 2, 3}
        assert 0.5 < float(batch["image"].max()) <= 1


class Recorder(pl.LightningModule):
    """Module that records the batches that a Trainer gives it."""

    draws_by_rows = False

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[Tensor]] = {"train": [], "val": []}

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        self.seen["train"].append(batch["mask"])
        return self.weight * batch["image"].mean()

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        self.seen["val"].append(batch["mask"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_batches_are_augmented_differently_each_epoch_and_reproducibly() -> None:
    def run() -> dict[str, list[Tensor]]:
        torch.manual_seed(3)
        data, model = FakeMasks(3, [32, 32], 4, 255, {"crop": RandomCrop([16, 24])}, batch_size=4), Recorder()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        pl.Trainer(
            max_epochs=2, accelerator="cpu", enable_model_summary=False, callbacks=[SeededEpochs(3)], **quiet
        ).fit(model, data)
        return model.seen

    first, second = run(), run()
    assert {label.shape for label in first["train"]} == {(4, 16, 24)}
    assert {label.shape for label in first["val"]} == {(4, 32, 32)}
    assert len(first["train"]) == 12
    assert all(torch.equal(a, b) for a, b in zip(first["train"], second["train"], strict=True))
    assert not torch.equal(torch.stack(first["train"][:6]), torch.stack(first["train"][6:]))


def test_varying_sizes_and_objects_that_are_not_transforms_are_refused() -> None:
    with pytest.raises(Refusal, match=r"different sizes.*make a crop the last step"):
        FakeMasks(3, [32, 32], 4, 255, augmentation={"crop": RandomCrop([16, 16]), "scale": RandomScale()})
    with pytest.raises(Refusal, match=r"'flip', which is not an image transform.*dataset/augmentation=\[crop,flip\]"):
        FakeMasks(3, [32, 32], 4, 255, augmentation="flip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="low must not be above high"):
        RandomScale(2.0, 1.0)

"""Segment images with a trained network: at once, in tiles or in bands."""

import tracemalloc
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tools import tiny
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from scalian_exp.actions import bands, segment
from scalian_exp.actions.action import examples
from scalian_exp.actions.bands import spans
from scalian_exp.actions.boxes import boxes
from scalian_exp.actions.segment import Segment
from scalian_exp.checkpoint import load
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(tiny("unet", "trainer.max_epochs=2"), folder)
    return folder


def test_segment_writes_masks_boxes_and_answers(run: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(255, size=(70, 101, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    files = Segment(image=str(tmp_path / "a.png"), tile_size=64).run(load(run), tmp_path / "out")
    assert [file.name for file in files] == ["mask.png", "overlay.png", "boxes.csv", "answers.png"]
    assert files[2].read_text().startswith("class,top,left,bottom,right\n")
    with Image.open(files[0]) as mask, Image.open(files[1]) as overlay:
        assert mask.size == overlay.size == (101, 70)
        assert np.asarray(mask).max() < 4


class Largest(TorchDispatchMode):
    """Record the size of the largest tensor that is computed, in bytes."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return outputs


def test_a_large_photo_takes_little_memory(run: Path, tmp_path: Path) -> None:
    """No tensor is larger than the photo in 8 bits, and all arrays together are smaller than five such photos.

    A photo of 6000×4000 pixels takes 288 MB in single precision, and its probabilities of 11 classes take 1 GB.
    """
    height, width = 800, 1200
    photo = np.random.default_rng(0).integers(255, size=(30, 45, 3)).astype(np.uint8)
    Image.fromarray(photo).resize((width, height)).save(tmp_path / "photo.png")
    model = load(run)
    tracemalloc.start()
    # without figures, because Matplotlib's memory doesn't count
    small = patch.multiple(segment, FIGURE_SIDE=100, save_figure=lambda _, file, *__: file)
    with Largest() as largest, patch.multiple(bands, BAND=2**16), small:
        Segment(image=str(tmp_path / "photo.png")).run(model, tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert largest.bytes <= 3 * height * width
    assert peak < 5 * 3 * height * width


def test_a_scale_beyond_memory_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="take a smaller scale"):
        Segment(scale=500.0).run(load(run), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("classes", "crf", "scale", "refused"),
    [
        (4, False, 1.0, None),
        (11, False, 1.0, None),
        (11, False, 1.5, r"6000×9000 pixels, .* of 11 classes take 1\.[0-9]+ GB of memory, but at most 500 MB"),
        (4, True, 1.0, r"4000×6000 pixels, which with probabilities of 4 classes and CRF take 15\.5 GB of memory"),
        (4, False, 0.9, None),
        (21, False, 1.0, r"21 classes take 541 MB of memory, .* take a smaller scale or tile_size\."),
        (11, True, None, None),
    ],
)
def test_a_large_photo_is_processed_at_once_if_memory_allows(
    classes: int, crf: bool, scale: float | None, refused: str | None
) -> None:
    """Photos are refused that would need more than 1.5 GB in all."""
    task = SimpleNamespace(num_classes=classes, crf=object() if crf else None)
    model: Any = SimpleNamespace(task=task, config={"dataset": {"image_size": [40, 60]}})
    photo = torch.zeros(1, dtype=torch.uint8).expand(1, 3, 4000, 6000)  # takes one byte
    if refused is None:
        scaled = Segment(scale=scale).scaled(model, photo)
        assert tuple(scaled.shape[2:]) == ((40, 60) if scale is None else (4000 * scale, 6000 * scale))
    else:
        with pytest.raises(Refusal, match=refused):
            Segment(scale=scale).scaled(model, photo)


def test_a_file_is_segmented_at_the_scale_of_the_training_images(run: Path, tmp_path: Path) -> None:
    """A test image saved at three times its size gets the same labels as the original."""
    model = load(run)
    x = examples(model, 1)["image"]
    large = F.interpolate(x, scale_factor=3, mode="nearest")[0].permute(1, 2, 0).mul(255).round().byte()
    Image.fromarray(large.numpy()).save(tmp_path / "large.png")
    mask, *_ = Segment(image=str(tmp_path / "large.png")).run(model, tmp_path / "out")
    with torch.no_grad(), Image.open(mask) as image:
        expected = F.interpolate(model.task.logits(x).softmax(1), scale_factor=3, mode="bilinear")[0].argmax(0)
        assert (torch.from_numpy(np.array(image)) == expected).float().mean() > 0.97


def test_a_crf_gets_the_scaled_image_and_images_are_fitted_inside_where_training_padded(
    run: Path, tmp_path: Path
) -> None:
    model, sizes = load(run), []
    height, width = model.config["dataset"]["image_size"]
    x = torch.rand(1, 3, 4 * height, 2 * width)
    model.task.crf = lambda logits, image: sizes.append(image.shape[2:]) or logits.softmax(1)
    with patch.object(Segment, "picture", lambda *_: x):
        Segment().run(model, tmp_path)
    assert sizes == [(2 * height, width)]
    model.config["dataset"]["fit"] = "pad"
    assert Segment().scaled(model, x).shape[2:] == (height, width // 2)
    with pytest.raises(Refusal, match="take a smaller image"):
        Segment().scaled(model, torch.zeros(1).expand(1, 3, 20_000, 20_000))


def test_a_single_tile_equals_segmenting_at_once(run: Path) -> None:
    model, x = load(run), torch.rand(1, 3, 40, 48)
    with torch.no_grad():
        (at_once,) = Segment(tile_size=64).probabilities(model, x)
        tiles = torch.cat([*Segment(tile_size=24, overlap=0.5).probabilities(model, x)], 2)
        assert torch.allclose(at_once, torch.softmax(model.task.logits(x), 1), atol=1e-5)
    assert torch.allclose(tiles.sum(1), torch.ones(1, 40, 48), atol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.9])
def test_bands_of_tiles_give_what_all_tiles_at_once_give(run: Path, overlap: float) -> None:
    """The sums over all tiles in one array, as one would write them without a thought of memory."""
    model, x = load(run), torch.rand(1, 3, 53, 61)
    total, weights = torch.zeros(4, 53, 61), torch.zeros(53, 61)
    with torch.no_grad():
        for rows in spans(53, 24, overlap):
            for columns in spans(61, 24, overlap):
                weight = torch.tensor([[min(i, 23 - i, 99) + 1.0] for i in range(24)])
                weight = weight * weight.T
                total[:, rows, columns] += weight * model.task.logits(x[..., rows, columns])[0].softmax(0)
                weights[rows, columns] += weight
        bands = [*Segment(tile_size=24, overlap=overlap).probabilities(model, x)]
    assert len(bands) > 2
    assert torch.allclose(torch.cat(bands, 2)[0], total / weights, atol=1e-6)


@pytest.mark.parametrize("height", [7, 20, 21, 64])
@pytest.mark.parametrize("heights", [[20], [1, 1, 5, 13], [3] * 6 + [2], [1] * 20])
def test_bands_are_interpolated_as_the_whole_is(height: int, heights: list[int]) -> None:
    whole = torch.rand(1, 5, 20, 9).softmax(1)
    wanted = F.interpolate(whole, (height, 31), mode="bilinear")[0].argmax(0)
    with patch.multiple(bands, BAND=100):
        assert torch.equal(bands.likeliest(iter(whole.split(heights, 2)), 20, height, 31).long(), wanted)


@pytest.mark.parametrize(("side", "size", "overlap"), [(100, 40, 0.25), (40, 40, 0.5), (30, 40, 0.5), (41, 40, 0.9)])
def test_spans_cover_and_overlap(side: int, size: int, overlap: float) -> None:
    result = list(spans(side, size, overlap))
    assert result[0].start == 0
    assert result[-1].stop == side
    assert all(s.stop - s.start == min(size, side) for s in result)
    assert all(a.stop - b.start >= int(overlap * min(size, side)) for a, b in pairwise(result))


def test_boxes_surround_regions() -> None:
    mask = torch.zeros(9, 9, dtype=torch.long)
    mask[1:3, 2:6] = mask[5:8, 1:3] = 2
    mask[8, 8] = 1  # too small
    result = [tuple(box) for box in boxes(mask, smallest=4)]
    assert result == [(2, 1, 2, 3, 6), (2, 5, 1, 8, 3)]  # the background has none


def test_an_index_beyond_the_test_split_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="there are 8 test images"):
        Segment(index=8).run(load(run), tmp_path)


def test_the_shares_of_a_classification_are_called_shares_of_pixels() -> None:
    mask = torch.tensor([[0, 0, 0, 1]], dtype=torch.uint8)
    figure = segment.answers(torch.zeros(3, 1, 4), mask, [], np.eye(3), ["ground", "car", "sky"])
    assert "share of pixels: ground: 75 %, car: 25 %" in figure.axes[0].get_title()

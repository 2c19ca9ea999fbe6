"""Metrics of segmentation against hand-made cases and slow twins; the task, its figures, and what it refuses."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from conftest import tiny
from PIL import Image
from torch import Tensor

from scalian_exp.actions.evaluate import Evaluate
from scalian_exp.actions.segment import Segment, boxes, spans
from scalian_exp.build import build, build_task
from scalian_exp.checkpoint import load
from scalian_exp.metrics.segmentation import boundary_f1, rand_error, scores
from scalian_exp.refusal import Refusal
from scalian_exp.train import train


def test_scores_by_hand() -> None:
    """Ten pixels of class 0, five of class 1, none of class 2, which is predicted once."""
    values = scores(torch.tensor([[8, 1, 1], [2, 3, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert values["iou/a"] == pytest.approx(8 / 12)
    assert values["iou/b"] == pytest.approx(3 / 6)
    assert values["iou/c"] == 0
    assert values["miou"] == pytest.approx((8 / 12 + 3 / 6 + 0) / 3)
    assert values["pixel_accuracy"] == pytest.approx(11 / 15)
    assert values["mean_class_accuracy"] == pytest.approx((8 / 10 + 3 / 5) / 2)
    assert values["fw_iou"] == pytest.approx((10 * 8 / 12 + 5 * 3 / 6) / 15)


def test_a_class_that_is_nowhere_counts_nowhere() -> None:
    values = scores(torch.tensor([[4, 0, 0], [0, 4, 0], [0, 0, 0]]))
    assert values["miou"] == 1
    assert "iou/2" not in values


def slow_boundary_f1(predicted: np.ndarray, truth: np.ndarray, classes: int) -> float:
    """Pixel by pixel, pair by pair."""
    height, width = truth.shape
    radius = max(1, round(0.0075 * (height**2 + width**2) ** 0.5))

    def edge(ids: np.ndarray, k: int) -> list[tuple[int, int]]:
        found = []
        for i in range(height):
            for j in range(width):
                if ids[i, j] != k or truth[i, j] < 0:
                    continue
                around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
                inside = [(a, b) for a, b in around if 0 <= a < height and 0 <= b < width and truth[a, b] >= 0]
                if any(ids[a, b] != k for a, b in inside):
                    found.append((i, j))
        return found

    def share(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        near = [any((i - a) ** 2 + (j - b) ** 2 <= radius**2 for a, b in others) for i, j in some]
        return sum(near) / max(len(near), 1)

    values = []
    for k in range(classes):
        if not ((predicted == k) & (truth >= 0)).any() and not (truth == k).any():
            continue
        a, b = edge(predicted, k), edge(truth, k)
        if not a and not b:
            values.append(1.0)
            continue
        precision, recall = share(a, b), share(b, a)
        values.append(2 * precision * recall / max(precision + recall, 1e-9))
    return float(np.mean(values))


def blobs(seed: int, size: tuple[int, int] = (40, 60), classes: int = 3) -> Tensor:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(classes, size=(5, 6)).astype(np.uint8))
    return torch.from_numpy(np.array(coarse.resize(size[::-1], Image.Resampling.NEAREST))).long()


def test_boundary_f1_against_a_slow_twin() -> None:
    truth = torch.stack([blobs(0), blobs(1)])
    predicted = torch.stack([blobs(0).roll(1, 1), blobs(2)])
    truth[:, :4, :9] = -100
    wanted = [slow_boundary_f1(p.numpy(), t.numpy(), 3) for p, t in zip(predicted, truth, strict=True)]
    assert boundary_f1(predicted, truth, 3).tolist() == pytest.approx(wanted, abs=1e-5)


def test_boundary_f1_of_the_truth_is_1_and_void_counts_nowhere() -> None:
    truth = blobs(3)[None]
    assert boundary_f1(truth, truth, 3).item() == 1
    truth[:, :, :20] = -100
    other = truth.clone()
    other[:, :, :20] = 1
    assert boundary_f1(other, truth, 3).item() == 1


def test_rand_error_of_two_objects_taken_for_one() -> None:
    """n pixels each: 2n² true pairs, 4n² predicted ones, 2n² in common, so F1 = 2/3."""
    truth = torch.zeros(1, 4, 5, dtype=torch.long)
    truth[:, :, :2] = truth[:, :, 3:] = 1
    assert rand_error(torch.ones_like(truth), truth, 1).item() == pytest.approx(1 / 3)
    assert rand_error(truth, truth, 1).item() == 0


def test_rand_error_counts_pairs() -> None:
    truth, predicted = (blobs(4) > 0).long(), (blobs(5) > 0).long()
    from scipy.ndimage import label

    a, b = label(truth.numpy())[0].ravel(), label(predicted.numpy())[0].ravel()
    inside = np.flatnonzero(a)
    both = same_a = same_b = 0
    for i in inside:
        true = a[inside] == a[i]
        found = (b[inside] == b[i]) if b[i] else inside == i  # border pixels are alone
        both, same_a, same_b = both + (true & found).sum(), same_a + true.sum(), same_b + found.sum()
    assert rand_error(predicted[None], truth[None], 1).item() == pytest.approx(1 - 2 * both / (same_a + same_b))


def test_the_splits_iou_is_no_mean_of_batches(tmp_path: Path) -> None:
    """The same score whatever the batch size, unlike a mean over batches or images."""
    same = ["model.optimizer.lr=0", "model.network.dropout=0"]
    metrics = [train(tiny("unet", f"dataset.batch_size={size}", *same), tmp_path / str(size)) for size in (8, 3)]
    assert metrics[0]["test/miou"] == pytest.approx(metrics[1]["test/miou"], rel=1e-5)


def test_backbones_learn_slower_than_heads() -> None:
    task = build_task(tiny("deeplab_v3", "model.head_lr=10", "model.optimizer.lr=0.01"))
    groups = task.make_optimizer().param_groups
    assert [group["lr"] for group in groups] == pytest.approx([0.01, 0.1])
    assert sum(len(group["params"]) for group in groups) == len(list(task.network.parameters()))
    names = {id(p): name for name, p in task.network.named_parameters()}
    assert all(names[id(p)].startswith("backbone.") for p in groups[0]["params"])


def test_heads_and_auxiliary_losses_add_up() -> None:
    config = tiny("fastfcn", "model.aux_weight=0.3", "model.presence_weight=0.7")
    task, data = build_task(config).train(), build("dataset", config["dataset"])
    data.setup()
    batch = data.on_after_batch_transfer(data.splits["train"][torch.arange(4)], 0)
    torch.manual_seed(0)
    total, _ = task.step(batch)
    torch.manual_seed(0)
    outputs = task.network(batch["image"])
    there = torch.zeros(4, 4)
    for i, mask in enumerate(batch["mask"]):
        for k in mask[mask >= 0].unique():
            there[i, k] = 1
    cross_entropy, p = torch.nn.functional.cross_entropy, torch.sigmoid(outputs["presence"])
    presence = -(there * p.log() + (1 - there) * (1 - p).log()).mean()
    parts = [cross_entropy(outputs[name], batch["mask"]) for name in ("out", "aux")]
    assert total.item() == pytest.approx((parts[0] + 0.3 * parts[1] + 0.7 * presence).item(), rel=1e-4)


def test_class_weights_come_from_the_training_split(tmp_path: Path) -> None:
    config = tiny("unet", "loss=median_frequency")
    train(config, tmp_path)
    data = build("dataset", config["dataset"])
    data.setup()
    masks = data.splits["train"].examples["mask"]
    frequencies = []
    for k in range(4):
        having = torch.stack([mask for mask in masks if (mask == k).any()])
        frequencies.append(float((having == k).sum() / (having != 255).sum()))
    wanted = np.median(frequencies) / np.array(frequencies)
    assert load(tmp_path).task.loss.weights.tolist() == pytest.approx(wanted.tolist(), rel=1e-5)


def test_images_smaller_than_the_stride_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"of 32×32 pixels are too small for FastFCN.*stride of 32"):
        train(tiny("fastfcn", "dataset.image_size=[32,32]"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_crfs_scores_stand_beside_the_networks(tmp_path: Path) -> None:
    metrics = train(tiny("unet", "model/crf=default", "model.crf.iterations=2"), tmp_path)
    for name in ("miou", "pixel_accuracy", "boundary_f1", "iou/0"):
        assert 0 <= metrics[f"test/crf_{name}"] <= 1
        assert 0 <= metrics[f"test/{name}"] <= 1
    (file,) = Evaluate().run(load(tmp_path), tmp_path / "again")
    assert json.loads(file.read_text())["test/crf_miou"] == pytest.approx(metrics["test/crf_miou"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(tiny("unet", "trainer.max_epochs=2"), folder)
    return folder


def test_segment_answers_in_three_ways(run: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(255, size=(70, 101, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    files = Segment(image=str(tmp_path / "a.png"), tile_size=64).run(load(run), tmp_path / "out")
    assert [file.name for file in files] == ["mask.png", "overlay.png", "answers.png"]
    with Image.open(files[0]) as mask, Image.open(files[1]) as overlay:
        assert mask.size == overlay.size == (101, 70)
        assert np.asarray(mask).max() < 4


def test_tiles_give_what_the_whole_gives_where_one_is_enough(run: Path) -> None:
    model, x = load(run), torch.rand(1, 3, 40, 48)
    with torch.no_grad():
        whole = Segment(tile_size=64).probabilities(model, x)
        tiles = Segment(tile_size=24, overlap=0.5).probabilities(model, x)
        assert torch.allclose(whole, torch.softmax(model.task.logits(x), 1), atol=1e-5)
    assert torch.allclose(tiles.sum(1), torch.ones(1, 40, 48), atol=1e-5)


@pytest.mark.parametrize(("side", "size", "overlap"), [(100, 40, 0.25), (40, 40, 0.5), (30, 40, 0.5), (41, 40, 0.9)])
def test_spans_cover_and_overlap(side: int, size: int, overlap: float) -> None:
    found = list(spans(side, size, overlap))
    assert found[0].start == 0
    assert found[-1].stop == side
    assert all(s.stop - s.start == min(size, side) for s in found)
    assert all(a.stop - b.start >= int(overlap * min(size, side)) for a, b in pairwise(found))


def test_boxes_surround_regions() -> None:
    mask = torch.zeros(9, 9, dtype=torch.long)
    mask[1:3, 2:6] = mask[5:8, 1:3] = 2
    mask[8, 8] = 1  # too small
    found = [tuple(box) for box in boxes(mask, smallest=4)]
    assert found == [(0, 0, 0, 9, 9), (2, 1, 2, 3, 6), (2, 5, 1, 8, 3)]


def test_the_crf_is_tuned_on_validation_images(run: Path, capsys: pytest.CaptureFixture[str], root: Path) -> None:
    said = spec_from_file_location("tune_crf", root / "scripts/tune_crf.py")
    assert said is not None
    assert said.loader is not None
    script = module_from_spec(said)
    said.loader.exec_module(script)
    small = {"WEIGHTS": (1.0, 3.0), "EXTENTS": (0.1,), "COLOURS": (6.0,)}
    with patch.multiple(script, **small), patch("sys.argv", ["tune_crf.py", str(run)]):
        script.main()
    said_last = capsys.readouterr().out.strip().splitlines()[-1]
    assert build_task(tiny("unet", *said_last.split())).crf.appearance_weight in (1.0, 2 / 3, 0.667, 1.5, 3.0, 2.0, 4.5)


def test_an_index_beyond_the_test_split_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="there are 8 test images"):
        Segment(index=8).run(load(run), tmp_path)

"""dataset.fold=k/n: cross-validation of every data set whose validation split is made here."""

from collections import Counter
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tools import composed, tiny

from scalian_exp.build import build
from scalian_exp.checkpoint import read
from scalian_exp.commandline.unknown_keys import unknown_key
from scalian_exp.datasets.folds import divided
from scalian_exp.refusal import Refusal
from scalian_exp.results.summary import summary_of
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train
from scalian_exp.vocabulary.checks import check_plain

FOLDS = ["1/3", "2/3", "3/3"]


def photographs(folder: Path, classes: int, each: int, splits: tuple[str, ...] = ("",)) -> Path:
    """Write pictures, no two alike, into class folders; without classes, into images/ with masks beside them."""
    number = 0
    for split in splits:
        for index in range(max(classes, 1) * each):
            place = folder / split / (f"class{index % classes}" if classes else "images")
            place.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), number := number + 1).save(place / f"{index}.png")
            if not classes:
                (folder / split / "masks").mkdir(exist_ok=True)
                mask = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2
                Image.fromarray(mask).save(folder / split / f"masks/{index}.png")
    return folder


def texts(folder: Path) -> Path:
    for split, size in (("train", 40), ("test", 5)):
        rows = [f"topic{index % 2},word{index} about topic{index % 2} and {split}" for index in range(size)]
        (folder / f"{split}.csv").write_text("\n".join(["label,text", *rows]))
    return folder


def data_of(name: str, folder: Path, fold: str | None) -> Any:
    own = {
        "image_folder": lambda: [f"dataset.root={photographs(folder, 3, 12)}", "dataset.image_size=[8,8]"],
        "mask_folder": lambda: [
            f"dataset.root={photographs(folder, 0, 30)}",
            *["dataset.image_size=[8,8]", "dataset.num_classes=2", "dataset.in_channels=1"],
        ],
        "text_csv": lambda: [f"dataset.root={texts(folder)}", "dataset.val_size=10"],
    }
    overrides = [f"dataset={name}", *own.get(name, list)(), *([f"dataset.fold={fold}"] if fold else [])]
    config: Any = composed("model=autoencoder", "loss=bce", *overrides)
    from omegaconf import OmegaConf

    node: Any = OmegaConf.to_container(config.dataset, resolve=True)
    data = build("dataset", node)
    data.setup("fit")
    return data


def examples(data: Any, split: str) -> list[Any]:
    """Return what tells the examples of a split apart, and their labels."""
    part = data.splits[split]
    if getattr(part, "target", None) is not None:  # ratings: the pairs on which the split is scored
        return list(map(tuple, part.target.dense().nonzero().tolist()))
    if part.texts is not None:
        return list(part.texts)
    return [values.numpy().tobytes() for values in part[torch.arange(len(part))]["image"]]


@pytest.mark.parametrize(
    "name",
    [
        "fake_images",
        "sklearn_digits",
        "fake_masks",
        "fake_texts",
        "fake_ratings",
        "image_folder",
        "mask_folder",
        "text_csv",
    ],
)
def test_folds_are_disjoint_and_cover_all_but_the_test(name: str, tmp_path: Path) -> None:
    plain, parts = data_of(name, tmp_path, None), [data_of(name, tmp_path, fold) for fold in FOLDS]
    every = Counter(examples(plain, "train") + examples(plain, "val"))
    held = [Counter(examples(part, "val")) for part in parts]
    assert sum(held, Counter()) == every
    assert max(map(Counter.total, held)) - min(map(Counter.total, held)) <= len({*labels(plain)}) + 1
    for part, validated in zip(parts, held, strict=True):
        assert Counter(examples(part, "train")) == every - validated
        assert examples(part, "test") == examples(plain, "test")
        again = data_of(name, tmp_path, part.fold)
        assert all(examples(again, split) == examples(part, split) for split in ("train", "val"))
        assert part.state_dict()["fold"] == part.fold
    numbers = [Counter(labels(part)) for part in parts]
    for label in numbers[0]:
        assert max(n[label] for n in numbers) - min(n[label] for n in numbers) <= 1


def labels(data: Any) -> list[int]:
    """Return the labels of the validation split; none without labels."""
    found = data.splits["val"].labels
    return [] if found is None else torch.as_tensor(found).tolist()


def test_rare_classes_are_divided_too() -> None:
    kinds = ["common"] * 9 + ["rare"] * 2
    held = [divided(11, f"{k}/3", kinds)[1].tolist() for k in (1, 2, 3)]
    assert sorted(index for part in held for index in part) == list(range(11))
    assert [sum(kinds[i] == "common" for i in part) for part in held] == [3, 3, 3]
    one_each = [divided(4, f"{k}/4", [*"abcd"])[1].tolist() for k in (1, 2, 3, 4)]
    assert sorted(map(tuple, one_each)) == [(0,), (1,), (2,), (3,)]
    with pytest.raises(Refusal, match=r"fold=1/5 divides 4 training examples into 5 parts; give at most 4"):
        divided(4, "1/5")


@pytest.mark.parametrize("fold", ["0/5", "6/5", "1/1", "1/05", "-1/5", "1/5/5", "5", "first", "'1 / 5'", "true"])
def test_what_is_no_fold_is_refused(fold: str) -> None:
    check_plain(tiny("classifier", "dataset.fold=2/5"))
    with pytest.raises(
        Refusal, match=r"dataset.fold must be a fold k/n with k ≤ n and n ≥ 2, such as 1/5, or null, not "
    ):
        check_plain(tiny("classifier", f"dataset.fold={fold}"))


def test_data_with_a_validation_split_of_their_own_are_refused(tmp_path: Path) -> None:
    said = unknown_key("dataset.fold", composed("model=unet", "dataset=camvid"))
    assert said.startswith(
        "There is no dataset.fold here: it divides the training examples of data without a validation split"
    )
    photographs(tmp_path, 3, 4, ("train", "val", "test"))
    node = {"_target_": "scalian_exp.datasets.folder.ImageFolder", "in_channels": 1, "image_size": [8, 8]}
    with pytest.raises(Refusal, match=r"fold=1/3: .* has its own validation split, which dataset.fold can.t replace"):
        build("dataset", {**node, "root": str(tmp_path), "fold": "1/3"}).setup()


def test_a_run_keeps_its_fold(tmp_path: Path) -> None:
    config = tiny("classifier", "dataset.fold=2/3", "test=false")
    train(config, tmp_path)
    assert read(tmp_path / "checkpoints/last.ckpt")["FakeImages"] == {"fold": "2/3"}
    assert train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=2"]))["epochs"] == 2
    with pytest.raises(
        Refusal, match=r"can't take dataset.fold=1/3; start a new run. What may change are values of tr"
    ):
        resumed([f"resume={tmp_path}", "dataset.fold=1/3"])
    other = build("dataset", {**config["dataset"], "fold": "1/3"})
    with pytest.raises(Refusal, match=r"began on dataset.fold=2/3, not dataset.fold=1/3; set it back"):
        other.load_state_dict({"fold": "2/3"})
    with pytest.raises(Refusal, match=r"began without folds, not dataset.fold=1/3"):
        other.load_state_dict({})


def test_a_sweep_over_folds_ends_in_mean_and_deviation() -> None:
    repeats = list(composed().repeats)
    errors = [0.10, 0.13, 0.16]
    jobs = [
        {
            "folder": Path(f"{number}_job"),
            "overrides": {"model": model, "dataset.fold": f"{number % 3 + 1}/3"},
            "outcome": {"status": "finished", "monitor": "val/error", "best": error, "test/error": error, "epochs": 1},
            "repeats": repeats,
        }
        for number, (model, error) in enumerate((model, e) for model in ("one", "other") for e in errors)
    ]
    summary = summary_of(jobs)
    assert (summary.varied, summary.repeated) == (["model"], "dataset.fold")
    for row in summary.means:
        assert row["jobs"] == 3
        assert row["best val/error"] == pytest.approx(0.13)
        assert row["best val/error ±"] == pytest.approx(stdev(errors)) == pytest.approx(0.03)

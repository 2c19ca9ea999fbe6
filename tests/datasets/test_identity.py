"""A run resumes only on the data it began with, and is applied only to data with the same classes and inputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import invoke
from PIL import Image
from tools import tiny

from scalian_exp.actions.action import data_of
from scalian_exp.checkpoint import load, read
from scalian_exp.datasets.folder import ImageFolder
from scalian_exp.datasets.mask_folder import MaskFolder
from scalian_exp.datasets.ratings_csv import RatingsCSV
from scalian_exp.datasets.texts import TextCSV
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

Made = Callable[[Path], Any]
PHOTO = ["dataset.image_size=[8,8]", "dataset.num_workers=0", "dataset.in_channels=1"]


def paint(file: Path, value: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value).save(file)


def animals(root: Path) -> None:
    """Save two classes of ten images each."""
    for number in range(10):
        for place, name in enumerate(("cat", "dog")):
            paint(root / name / f"{number}.png", 20 * number + place)


def in_splits(root: Path) -> None:
    for split, size in (("train", 6), ("validation", 3), ("test", 3)):
        for number in range(size):
            paint(root / split / f"{split}{number}.png")


def images(root: Path, **more: Any) -> ImageFolder:
    return ImageFolder(str(root), 1, [8, 8], num_workers=0, **more)


def pairs(root: Path) -> None:
    for number in range(10):
        paint(root / f"images/{number}.png", 20 * number)
        file = root / f"masks/{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(file)


def masks(root: Path) -> MaskFolder:
    return MaskFolder(str(root), 1, [8, 8], 2, num_workers=0)


def opinions(root: Path, last: int = 3) -> None:
    lines = [f"{user},{item},{1 + (user + item) % 5}" for user in range(6) for item in range(6)]
    root.mkdir(parents=True, exist_ok=True)
    (root / "ratings.csv").write_text("\n".join(["user,item,rating", *lines[:-1], f"5,5,{last}"]) + "\n")


def ratings(root: Path) -> RatingsCSV:
    return RatingsCSV(str(root), 6, 6, [1, 2, 3, 4, 5], val_share=0.2, test_share=0.2)


def stories(root: Path, last: str = "rain") -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "train.csv").write_text("label,text\n" + "".join(f"a,sun rain number{n}\n" for n in range(8)))
    (root / "test.csv").write_text(f"label,text\na,sun\nb,{last}\n")


def texts(root: Path) -> TextCSV:
    return TextCSV(str(root), vocabulary_size=20, val_size=2)


def add(name: str) -> Callable[[Path], None]:
    return lambda root: paint(root / name)


def rename(old: str, new: str) -> Callable[[Path], Any]:
    return lambda root: (root / old).rename(root / new)


def both(root: Path) -> None:
    """Rename an image and its mask."""
    for part in ("images", "masks"):
        (root / part / "3.png").rename(root / part / "new.png")


CHANGES: dict[str, tuple[Callable[[Path], None], Made, Callable[[Path], Any], str]] = {
    "an image more": (animals, images, add("cat/new.png"), r"The images in .* are not those .* then, \d+ now"),
    "an image less": (animals, images, lambda root: (root / "dog/3.png").unlink(), r" then, \d+ now"),
    "another name": (animals, images, rename("cat/3.png", "cat/three.png"), "The images in"),
    "another class": (animals, images, rename("cat", "lion"), "The images in"),
    "others": (
        in_splits,
        images,
        rename("test/test0.png", "test/x.png"),
        r"began with \(for test 3 then, 3 now, but not the same ones\): put",
    ),
    "validation images seen": (
        in_splits,
        images,
        rename("validation/validation0.png", "train/validation0.png"),
        "for training 6 then, 7 now; for validation 3 then, 2 now",
    ),
    "no folder for validation": (in_splits, images, rename("validation", ".validation"), "for validation 3 then"),
    "other masks": (pairs, masks, both, "The images in"),
    "a rating": (opinions, ratings, lambda root: opinions(root, 4), r"The ratings in .* now, but not the same ones"),
    "a test text": (
        stories,
        texts,
        lambda root: stories(root, "wind"),
        r"texts in .*\(for test 2 then, 2 now, but",
    ),
}
"""name → functions that write, load and change the files, and the message that follows"""


def state(made: Made, root: Path) -> tuple[Any, dict[str, Any]]:
    data = made(root)
    data.setup()
    return data, data.state_dict()


@pytest.mark.parametrize("change", CHANGES)
def test_training_resumes_only_with_the_same_examples(change: str, tmp_path: Path) -> None:
    write, made, alter, message = CHANGES[change]
    write(tmp_path / "old")
    stored = state(made, tmp_path / "old")[1]
    (tmp_path / "old").rename(tmp_path / "new")
    data, same = state(made, tmp_path / "new")
    assert same == stored
    data.load_state_dict(stored)  # only moved
    alter(tmp_path / "new")
    data, other = state(made, tmp_path / "new")
    with pytest.raises(Refusal, match=message):
        data.load_state_dict(stored)
    data.load_state_dict({})  # from a checkpoint without identity
    data.load_state_dict({name: value for name, value in stored.items() if name != "splits"})
    data.load_state_dict(other)


def test_each_page_of_a_stack_is_an_example(tmp_path: Path) -> None:
    animals(tmp_path)
    pages = [Image.new("L", (8, 8), value) for value in (1, 2, 3)]
    pages[0].save(tmp_path / "cat/0.tif", save_all=True, append_images=pages[1:])
    stored = state(images, tmp_path)[1]
    pages[0].save(tmp_path / "cat/0.tif", save_all=True, append_images=pages[1:2])
    with pytest.raises(Refusal, match="are not those that this run began with"):
        state(images, tmp_path)[0].load_state_dict(stored)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_classifier_is_used_only_on_the_same_classes(tmp_path: Path) -> None:
    animals(tmp_path / "old")
    overrides = ["dataset=image_folder", f"dataset.root={tmp_path / 'old'}", "dataset.num_classes=2", *PHOTO]
    config = tiny("mlp_classifier", *overrides)
    train(config, tmp_path / "run")
    stored = read(tmp_path / "run/checkpoints/last.ckpt")["ImageFolder"]
    assert stored["classes"] == ["cat", "dog"]
    assert {name: part["size"] for name, part in stored["splits"].items()} == {
        name: len(part) for name, part in data_of(load(tmp_path / "run")).splits.items()
    }

    (tmp_path / "old").rename(tmp_path / "new")
    for number in range(50):
        paint(tmp_path / f"new/cat/more{number}.png")
    arguments = ["run=run", "action=evaluate", f"dataset.root={tmp_path / 'new'}"]
    assert invoke(tmp_path, "scalian-apply", *arguments)[0] == 0  # other images with the same classes

    (tmp_path / "new/cat").rename(tmp_path / "new/elk")
    code, output = invoke(tmp_path, "scalian-apply", *arguments)
    assert code == 1
    assert "has other classes than this run learned (without cat and with elk)" in output
    before = contents(tmp_path / "run")
    tested = {**config, "init_from": str(tmp_path / "run"), "trainer": {**config["trainer"], "max_epochs": 0}}
    with pytest.raises(Refusal, match="without cat and with elk"):
        train({**tested, "dataset": {**config["dataset"], "root": str(tmp_path / "new")}}, tmp_path / "tested")
    code, output = invoke(tmp_path, "scalian-train", "resume=run", arguments[-1], "trainer.max_epochs=2")
    assert code == 1
    assert "without cat and with elk" in output
    assert contents(tmp_path / "run") == before  # refused before anything is written


def test_images_may_be_in_any_folders_if_the_model_needs_no_classes(tmp_path: Path) -> None:
    animals(tmp_path / "old")
    in_splits(tmp_path / "new")
    config = tiny("autoencoder", "dataset=image_folder", f"dataset.root={tmp_path / 'old'}", *PHOTO)
    train(config, tmp_path / "run")
    code, output = invoke(tmp_path, "scalian-apply", "run=run", "action=evaluate", f"dataset.root={tmp_path / 'new'}")
    assert code == 0, output
    moved = tiny("autoencoder", "dataset=image_folder", f"dataset.root={tmp_path / 'new'}", *PHOTO)
    with pytest.raises(Refusal, match="are not those that this run began with"):
        train({**moved, "trainer": {**moved["trainer"], "max_epochs": 2}}, tmp_path / "run")
    train({**moved, "init_from": str(tmp_path / "run")}, tmp_path / "another")


def test_a_run_of_an_earlier_version_resumes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Checkpoints of earlier versions have no identity of the data."""
    in_splits(tmp_path / "photos")
    config = tiny("autoencoder", "dataset=image_folder", f"dataset.root={tmp_path / 'photos'}", *PHOTO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFolder, "state_dict", lambda _: {})
        train(config, tmp_path / "run")
    assert "ImageFolder" not in read(tmp_path / "run/checkpoints/last.ckpt")
    paint(tmp_path / "photos/train/new.png")
    assert invoke(tmp_path, "scalian-apply", "run=run", "action=evaluate")[0] == 0
    with caplog.at_level("INFO"):
        train({**config, "trainer": {**config["trainer"], "max_epochs": 2}}, tmp_path / "run")
    assert "without storing its splits" in caplog.text
    assert read(tmp_path / "run/checkpoints/last.ckpt")["ImageFolder"]["splits"]["train"]["size"] == 7


@pytest.mark.parametrize("workers", [0, 2])
def test_a_truncated_image_is_named(workers: int, tmp_path: Path) -> None:
    """The header is intact, so the damage is only noticed when a batch needs the image."""
    in_splits(tmp_path / "photos")
    rng = np.random.default_rng(0)
    for file in (tmp_path / "photos").rglob("*.png"):
        Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)).save(file)
    overrides = ["model=autoencoder", "dataset=image_folder", "dataset.root=photos", *PHOTO, "dataset.batch_size=2"]
    overrides += [f"dataset.num_workers={workers}", "trainer.max_epochs=1", "callbacks=minimal", "logger=none"]
    overrides += ["trainer/accelerator=cpu"]
    last, tested = tmp_path / "photos/train/train5.png", tmp_path / "photos/test/test1.png"
    assert invoke(tmp_path, "scalian-train", *overrides, "hydra.run.dir=good")[0] == 0
    for file, *command in (
        (last, "scalian-train", *overrides, "hydra.run.dir=bad"),
        (tested, "scalian-apply", "run=good", "action=evaluate"),
    ):
        intact = file.read_bytes()
        file.write_bytes(intact[:-300])
        code, output = invoke(tmp_path, *command)
        assert code == 1
        assert output.splitlines()[-1].startswith(f"{file} can't be read as an image (image file is truncated")
        assert "Traceback" not in output
        file.write_bytes(intact)
    assert not (tmp_path / "bad/metrics.json").exists()
    assert not (tmp_path / "bad/checkpoints/last.ckpt").exists()
    assert not [*(tmp_path / "good").glob("evaluate*/*")]
    assert invoke(tmp_path, "scalian-train", *overrides, "hydra.run.dir=bad")[0] == 0  # repaired

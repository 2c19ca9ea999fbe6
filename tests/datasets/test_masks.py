"""Segmentation data: class numbers, splits, and the values in the configs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tools import composed, names, option
from torchvision.datasets import Cityscapes

from scalian_exp.build import build
from scalian_exp.commandline.experiment import checked
from scalian_exp.datasets import fashion_scenes
from scalian_exp.datasets.base import Examples
from scalian_exp.datasets.fake import FakeMasks
from scalian_exp.datasets.fashion_scenes import FashionScenes, free_place
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.datasets.mask_classes import Classes
from scalian_exp.datasets.masks import Masks
from scalian_exp.refusal import Refusal


class Given(Masks):
    """Data with the same two images and labels in every split."""

    labels = torch.tensor([[[0, 1], [2, 255]]] * 2, dtype=torch.uint8)

    def read(self) -> dict[str, TensorBatches]:
        images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 2, 2)
        return {split: TensorBatches({"image": images, "mask": self.labels}) for split in ("train", "val", "test")}


def test_batches_hold_floats_and_classes_with_void_as_torchs_ignored_index() -> None:
    data = Given(1, [2, 2], num_classes=3, ignore_index=7)
    data.setup()
    batch = data.prepare(next(iter(data.val_dataloader())))
    assert batch["image"].flatten(1).tolist() == [[0.0] * 4, [1.0] * 4]
    assert batch["mask"].tolist() == [[[0, 1], [2, -100]]] * 2
    assert batch["mask"].dtype == torch.int64
    loss = torch.nn.functional.cross_entropy(torch.zeros(2, 3, 2, 2), batch["mask"])
    assert float(loss) == pytest.approx(np.log(3))


def test_classes_are_counted_with_the_images_that_contain_them() -> None:
    data = Given(1, [2, 2], num_classes=4)
    data.labels = torch.tensor([[[0, 0], [2, 255]], [[0, 1], [1, 1]]], dtype=torch.uint8)
    data.setup()
    pixels, present = data.class_pixels()
    assert pixels.tolist() == [3, 3, 1, 0]
    assert present.tolist() == [7, 4, 3, 0]  # three labelled pixels in the first image, four in the second


def test_wrong_numbers_of_classes_and_channels_are_refused() -> None:
    with pytest.raises(Refusal, match=r"ignore_index=2 is one of the classes, 0 to 2"):
        Given(1, [2, 2], num_classes=3, ignore_index=2)
    with pytest.raises(Refusal, match="masks have 2 to 254 classes"):
        Given(1, [2, 2], num_classes=255)
    with pytest.raises(Refusal, match=r"masks of Given have the class 2, but dataset.num_classes is 2"):
        Given(1, [2, 2], num_classes=2).setup()
    with pytest.raises(Refusal, match=r"images of Given are \(1, 2, 2\).*says \(3, 2, 2\)"):
        Given(3, [2, 2], num_classes=3).setup()


def mask(mode: str, values: list[int]) -> Image.Image:
    pixels = np.array([values])
    if mode == "I;16":
        return Image.fromarray(pixels.astype(np.uint16))
    if mode == "P":
        picture = Image.fromarray(pixels.astype(np.uint8)).convert("P")
        picture.putdata(values)
        picture.putpalette([9, 9, 9] * 256)  # equal colours carry no information: numbers count
        return picture
    if mode == "RGB":
        return Image.fromarray(np.stack([pixels, pixels * 0, pixels * 2], -1).astype(np.uint8))
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


@pytest.mark.parametrize(
    ("picture", "classes", "expected"),
    [
        (mask("L", [0, 1, 2, 9]), Classes(3, 9), [0, 1, 2, 255]),
        (mask("P", [0, 1, 2, 255]), Classes(3, 255), [0, 1, 2, 255]),
        (mask("I;16", [0, 1, 2]), Classes(3), [0, 1, 2]),
        (mask("LA", [0, 1, 2]), Classes(3), [0, 1, 2]),
        (mask("1", [0, 255, 0]), Classes(2), [0, 1, 0]),
        (mask("L", [0, 255, 0]), Classes(2), [0, 1, 0]),  # black and white
        (mask("L", [0, 255, 1]), Classes(2, 255), [0, 255, 1]),  # white is void
        (mask("L", [0, 1, 1]), Classes(2), [0, 1, 1]),
        (mask("L", [1, 2, 3]), Classes(2, 2, numbers={1: 0, 2: 1, 3: 2}), [0, 1, 255]),
        (mask("RGB", [0, 5, 7]), Classes(2, 2, palette=[[5, 0, 10], [0, 0, 0], [7, 0, 14]]), [1, 0, 255]),
    ],
)
def test_files_of_every_kind_become_classes(picture: Image.Image, classes: Classes, expected: list[int]) -> None:
    labels = classes(picture, Path("a.png")).classes
    assert labels.dtype == np.uint8
    assert labels.tolist() == [expected]


@pytest.mark.parametrize(
    ("picture", "classes", "sentence"),
    [
        (mask("L", [0, 1, 3]), Classes(3), "a.png has the number 3, which is not one of the 3 classes;"),
        (mask("L", [0, 4]), Classes(3, 9), r"the number 4, which is not one of the 3 classes and not void \(9\)"),
        (mask("L", [0, 1, 255]), Classes(2), "a.png has the number 255"),
        (mask("I;16", [0, 256, 1]), Classes(3), "a.png has the number 256"),
        (mask("L", [0, 1]), Classes(3, numbers={1: 0}), "a.png has the number 0"),
        (mask("RGB", [0, 5]), Classes(2), r"a.png is in colours; give the classes' colours: dataset.palette"),
        (mask("RGB", [0, 6]), Classes(1, palette=[[0, 0, 0]]), r"a.png has the colour \[6, 0, 12\]"),
    ],
)
def test_values_that_are_no_class_are_refused(picture: Image.Image, classes: Classes, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        classes(picture, Path("a.png"))


def test_masks_that_jpeg_altered_are_recognised() -> None:
    with pytest.raises(Refusal, match=r"a.jpg has the number 7, .* \(JPEG alters numbers: save masks as PNG\)"):
        Classes(3)(mask("L", [0, 7]), Path("a.jpg"))


def examples(data: Masks, split: str) -> Examples:
    part = data.splits[split]
    assert isinstance(part, TensorBatches)
    return part.examples


def test_fake_masks_have_every_class_and_void_if_requested() -> None:
    for ignored, expected in ((255, {0, 1, 2, 3, 255}), (None, {0, 1, 2, 3})):
        data = FakeMasks(2, [9, 17], num_classes=4, ignore_index=ignored)
        data.setup()
        assert [len(data.splits[split]) for split in ("train", "val", "test")] == [24, 8, 8]
        for split in ("train", "val", "test"):
            assert set(examples(data, split)["mask"].unique().tolist()) == expected
    image, label = (examples(data, "train")[name].float() for name in ("image", "mask"))
    brightness = [float(image.movedim(1, -1)[label == number].mean()) for number in range(4)]
    assert brightness == sorted(brightness)
    assert not torch.equal(examples(data, "val")["image"], examples(data, "test")["image"])


class Spied(FashionScenes):
    """Scenes that record which garments each split gets."""

    def scenes(self, garments: Examples, size: int, rng: np.random.Generator) -> TensorBatches:
        self.given = [*getattr(self, "given", []), {image.numpy().tobytes() for image in garments["image"]}]
        return super().scenes(garments, size, rng)


def test_splits_share_no_garments() -> None:
    data = Spied(3, [96, 96], 11, train_size=3, val_size=3, test_size=3)
    data.setup()
    train, val, test = data.given
    assert (len(train), len(val), len(test)) == (5000, 1000, 1000)
    assert not train & val
    assert not (train | val) & test


def test_a_mask_covers_exactly_the_garments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_scenes, "ground", lambda height, width, _: np.zeros((height, width, 3)))
    data = FashionScenes(3, [96, 120], 11, train_size=40, val_size=5, test_size=5)
    data.setup()
    scenes = examples(data, "train")
    assert torch.equal(scenes["image"].sum(1) > 0, scenes["mask"] > 0)
    assert scenes["mask"].unique().tolist() == list(range(11))
    kinds = [len(mask.unique()) - 1 for mask in scenes["mask"]]
    assert min(kinds) >= 1
    assert max(kinds) in (5, 6)


def test_a_garment_is_placed_where_it_hides_least() -> None:
    mask = np.ones((30, 50), np.uint8)
    mask[10:20, 35:45] = 0
    assert free_place(mask, 10, np.random.default_rng(0), places=20_000) == (10, 35)
    mask[:] = 0
    places = {free_place(mask, 10, np.random.default_rng(seed), places=1) for seed in range(200)}
    assert len(places) > 150
    assert max(places)[0] == 20  # reaches the edges, but not beyond
    assert max(left for _, left in places) == 40


def test_scenes_do_not_depend_on_the_seed_or_on_other_splits() -> None:
    scenes = []
    for seed, train_size in ((0, 2), (1, 3)):
        torch.manual_seed(seed)
        np.random.seed(seed)
        data = FashionScenes(3, [96, 96], 11, train_size=train_size, val_size=2, test_size=2)
        data.setup()
        scenes.append({split: examples(data, split)["image"] for split in ("train", "val", "test")})
    assert torch.equal(scenes[0]["test"], scenes[1]["test"])
    assert torch.equal(scenes[0]["train"], scenes[1]["train"][:2])


WITH_MASKS = [dataset for dataset in names("dataset") if "masks" in option("dataset", dataset)["provides"]]


@pytest.mark.parametrize("dataset", WITH_MASKS)
def test_configs_name_and_colour_every_class_and_can_be_built(dataset: str, tmp_path: Path) -> None:
    facts = option("dataset", dataset)
    if facts.get("class_names"):
        assert len(set(facts["class_names"])) == facts["num_classes"]
    if facts.get("palette"):
        assert len({tuple(colour) for colour in facts["palette"]}) == facts["num_classes"]
        assert all(0 <= value <= 255 for colour in facts["palette"] for value in colour)
    root = [f"dataset.root={tmp_path}"] if "root" in facts else []
    for augmentation in ("none", "[scale,crop,flip]", "[elastic,upside_down,brightness]"):
        config = checked(composed("model=unet", f"dataset={dataset}", f"dataset/augmentation={augmentation}", *root))
        data = build("dataset", config["dataset"])
        size = [224, 224] if "crop" in augmentation else facts["image_size"]
        assert list(data.training_size) == size


def test_palettes_match_the_published_colours() -> None:
    """VOC's palette follows its rule (class bits fill red, green and blue from the top), Cityscapes' its table."""

    def colour(number: int) -> list[int]:
        return [sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]

    assert option("dataset", "voc2012")["palette"] == [colour(number) for number in range(21)]
    table = {kind.train_id: kind for kind in Cityscapes.classes if kind.train_id not in (-1, 255)}
    assert option("dataset", "cityscapes")["class_names"] == [table[number].name for number in range(19)]
    assert option("dataset", "cityscapes")["palette"] == [list(table[number].color) for number in range(19)]

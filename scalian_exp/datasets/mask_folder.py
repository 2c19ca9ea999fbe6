"""Anybody's own images and masks, streamed from a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torchvision.transforms.v2 import Transform

from scalian_exp.datasets.augmentation import VOID_BYTE
from scalian_exp.datasets.folder import SUFFIXES, given_splits, refuse_empty, shared_out
from scalian_exp.datasets.mask_files import Classes, MaskFiles
from scalian_exp.datasets.masks import Masks
from scalian_exp.ranges import Fraction, NonNegativeInt, PositiveInt
from scalian_exp.refusal import Refusal


class MaskFolder(Masks):
    """root/images and root/masks with files of the same names but for suffixes; or root/train, val and test of such.

    A split that has no folder of its own is a part of the training images, chosen by their names. Masks have one
    channel of class numbers, a palette whose indices are the classes, black and white for two classes, or colours.
    Every file is read once before training: what is wrong with one is told then, not in an hour.

    Args:
        root: the folder.
        palette: colours of the classes, in the order of their numbers; masks in colours are read by it. With
            ignore_index equal to num_classes it can have one more, void's.
        fit: crop, resize or pad (with void) images to image_size.
        held_out: part of the images for validation, and as many for the test.

    Raises:
        Refusal: if the folder is missing or holds too few images, or if a file is not what it should be.
    """

    def __init__(
        self,
        root: str,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        num_classes: PositiveInt,
        ignore_index: NonNegativeInt | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        augmentation: Mapping[str, Transform] | None = None,
        batch_size: PositiveInt = 8,
        fit: Literal["crop", "resize", "pad"] = "crop",
        held_out: Fraction = 0.1,
        num_workers: NonNegativeInt = 2,
    ):
        super().__init__(in_channels, image_size, num_classes, ignore_index, augmentation, batch_size, num_workers)
        self.root, self.fit, self.held_out = Path(root), fit, held_out
        if not self.root.is_dir():
            raise Refusal(f"There is no folder {root}; say with dataset.root where your images and masks lie.")
        colours = {num_classes, num_classes + 1} if ignore_index == num_classes else {num_classes}
        if palette is not None and len(palette) not in colours:
            raise Refusal(f"dataset.palette has {len(palette)} colours for {num_classes} classes; correct it.")
        if palette is not None and len({tuple(colour) for colour in palette}) < len(palette):
            raise Refusal("dataset.palette has a colour twice; give every class its own.")
        self.classes = Classes(num_classes, ignore_index, palette)

    def read(self) -> Mapping[str, MaskFiles]:
        folders = given_splits(self.root)
        given = {name: self.files(folder) for name, folder in folders.items()}
        train = given.pop("train")
        missing = [name for name in ("test", "val") if name not in given]
        shares = shared_out([image for image, _ in train.pairs], self.root, missing, self.held_out)
        splits = {**given, **{name: train.subset(indices) for name, indices in shares.items()}}
        refuse_empty(splits, self.root, self.held_out)
        found = set().union(*(files.check() for files in splits.values()))
        if self.classes.num_classes == 2 and self.classes.ignore_index == 255 and found == {0, VOID_BYTE}:
            raise Refusal(
                f"No mask in {self.root} has a pixel of class 1, as 255 is void there; if white is class 1, say "
                "dataset.ignore_index=null."
            )
        return splits

    def files(self, folder: Path) -> MaskFiles:
        """All pairs below a folder.

        Raises:
            Refusal: if a partner is missing.
        """
        images, masks = named(folder / "images"), named(folder / "masks")
        for here, there, name in ((images, masks, "mask"), (masks, images, "image")):
            if alone := sorted(here.keys() - there.keys()):
                raise Refusal(f"{here[alone[0]]} has no {name} of its name in {folder / name}s; add or remove one.")
        pairs = [(images[name], masks[name]) for name in sorted(images)]
        return MaskFiles(pairs, self.shape, self.fit, self.classes)


def named(folder: Path) -> dict[str, Path]:
    """Path below the folder, without its suffix → image file.

    Raises:
        Refusal: if there is no such folder, or if a name stands for two files.
    """
    if not folder.is_dir():
        raise Refusal(f"There is no folder {folder}; images and masks of the same names lie in images/ and masks/.")
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise Refusal(f"{found[name]} and {path.name} have the same name; rename one of them.")
        found[name] = path
    return found

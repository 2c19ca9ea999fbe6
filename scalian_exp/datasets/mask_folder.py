"""Your own images and masks, streamed from a folder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from scalian_exp.batches import VOID_BYTE
from scalian_exp.datasets.decoded import DecodesOnce
from scalian_exp.datasets.folder_splits import (
    given_splits,
    identity_of,
    image_files,
    pictures,
    print_summary,
    refuse_empty,
    subfolders,
)
from scalian_exp.datasets.folds import files_of_fold
from scalian_exp.datasets.identity import EXAMPLES, refuse_shared
from scalian_exp.datasets.image_files import WHITE, names_below
from scalian_exp.datasets.mask_classes import Classes
from scalian_exp.datasets.mask_files import MaskFiles
from scalian_exp.datasets.mask_readings import Checked, legend_of, refuse_disagreement
from scalian_exp.datasets.masks import Masks, refuse_void
from scalian_exp.ranges import Fold, Fraction, NonNegativeFloat, NonNegativeInt
from scalian_exp.refusal import Refusal

IMAGES = ("images", "image", "imgs", "img")
MASKS = ("masks", "mask", "labels", "label", "annotations", "segmentations")
"""Lower-case names of the folders of images and of masks."""


class MaskFolder(Masks, DecodesOnce):
    """Your own images and masks: root/images and root/masks, or both folders in each of root/train, val and test.

    An image and its mask have the same name up to the suffix. Splits may also lie in images/train and masks/train, and
    so on. Each page of a stack is an image, masked by the same page of the mask file. A split without a folder takes
    part of the training files, chosen by their names. Masks have one channel of class numbers, black and white for two
    classes, colours, or a palette: decoded by its colours where they are in `palette`, black and white, or grey,
    otherwise by its numbers. Every file is read once before training, so that a bad one is reported at once.

    Args:
        root: the folder.
        palette: the classes' colours, in the order of their numbers, by which masks in colours are decoded. With
            ignore_index equal to num_classes, void's colour may follow.
        fit: crop, resize or pad (with void) images to image_size.
        held_out: about this fraction of the files, chosen by name, is for validation, and as much for the test.
        fold: "k/n": part k of n of all files but the test's is for validation instead.
        background: red, green, blue behind transparent pixels.
        cache: where images are kept once they are decoded: in memory, or in a file that later runs use too.
        cache_gb: size, in gigabytes, up to which all of them are kept in memory.
        kwargs: the arguments of `Masks`.

    Raises:
        Refusal: if the folder is missing or has too few images, or if a file can't be used.
    """

    def __init__(
        self,
        root: str,
        *args: Any,
        palette: Sequence[Sequence[int]] | None = None,
        fit: Literal["crop", "resize", "pad"] = "crop",
        held_out: Fraction = 0.1,
        background: Sequence[NonNegativeInt] = WHITE,
        cache: Literal["memory", "disk"] = "memory",
        cache_gb: NonNegativeFloat = 2,
        fold: Fold | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.cache, self.cache_gb, self.fold = cache, cache_gb, fold
        self.root, self.fit, self.held_out, self.background = Path(root), fit, held_out, background
        if not self.root.is_dir():
            raise Refusal(f"There is no folder {root}; set dataset.root to the folder of your images and masks.")
        most = self.num_classes + (self.ignore_index == self.num_classes)
        if palette is not None and len(palette) not in (self.num_classes, most):
            raise Refusal(f"dataset.palette has {len(palette)} colours for {self.num_classes} classes; correct it.")
        if palette is not None and len({tuple(colour) for colour in palette}) < len(palette):
            raise Refusal("dataset.palette has a colour twice; give every class a different one.")
        self.classes = Classes(self.num_classes, self.ignore_index, palette, background=background)
        meaning = (self.num_classes, self.ignore_index, [tuple(colour) for colour in palette or ()])
        self.decoding = (self.root.resolve(), self.shape, fit, tuple(background), *meaning)

    def read(self) -> Mapping[str, MaskFiles]:
        """Pair the files, assign them to splits, check every pair, and print a summary.

        Raises:
            Refusal: if files can't be paired or used, or a split has no images.
        """
        skipped: Counter[str] = Counter()
        folders = folders_of_pairs(self.root, skipped)
        pairs = {name: pairs_in(*parts, skipped) for name, parts in folders.items()}
        train = pairs["train"]
        images_of_train = [image for image, _ in train]
        shares = files_of_fold(images_of_train, self.root, folders, self.held_out, self.fold)
        pairs |= {name: [train[index] for index in indices] for name, indices in shares.items()}
        refuse_empty(pairs, self.root, self.held_out, skipped)
        refuse_shared({name: [image for image, _ in part] for name, part in pairs.items()})
        splits = {name: self.files(part) for name, part in pairs.items()}
        self.keep(splits, self.cache, self.cache_gb, (*self.decoding, self.held_out if len(shares) > 1 else None))
        masks = {name: files.check() for name, files in splits.items()}
        self.check_masks(masks)
        places = {name: folders.get(name, folders["train"])[0] for name in splits}
        images = {name: [image for image, _ in files.pictures] for name, files in splits.items()}
        for name, files in splits.items():
            files.names = names_below(self.root, images[name])
        self.identity = {EXAMPLES: {name: identity_of(images[name], places[name]) for name in splits}}
        legend = legend_of(mask for part in masks.values() for mask in part)
        print_summary(
            self.root, "images with masks", splits, skipped, f"; classes by palette: {legend}" if legend else ""
        )
        return splits

    def check_masks(self, masks: Mapping[str, list[Checked]]) -> None:
        """Check that masks agree with each other, and that each split has labelled pixels.

        Raises:
            Refusal: if files contradict each other, if a split is entirely void, or if only one class occurs.
        """
        every = [mask for part in masks.values() for mask in part]
        refuse_disagreement(every, self.ignore_index)
        if self.ignore_index == 255 and set().union(*(mask.classes for mask in every)) == {0, VOID_BYTE}:
            raise Refusal(
                f"No mask in {self.root} has a pixel of class 1, because 255 is void there; if white is class 1, set "
                "dataset.ignore_index=null."
            )
        for name, part in masks.items():
            if all(mask.classes == {VOID_BYTE} for mask in part):
                refuse_void(f"{self.root}: all masks for {name}")
        if len(only := set().union(*(mask.classes for mask in every)) - {VOID_BYTE}) == 1:
            raise Refusal(
                f"The masks in {self.root} contain only class {only.pop()}, so there is nothing to learn; correct "
                "them, or give the classes' colours with dataset.palette."
            )

    def files(self, pairs: list[tuple[Path, Path]]) -> MaskFiles:
        """Pair all pages of these image and mask files.

        Raises:
            Refusal: if a file is not an image, or a mask has more or fewer pages than its image.
        """
        images, masks = (pictures(paths) for paths in zip(*pairs, strict=True))
        for image, mask in zip(images, masks, strict=True):
            if len(image) != len(mask):
                raise Refusal(
                    f"{image[0].path} has {len(image)} pages, but its mask {mask[0].path} has {len(mask)}; save both "
                    "with the same number."
                )
        pages = [pair for image, mask in zip(images, masks, strict=True) for pair in zip(image, mask, strict=True)]
        return MaskFiles(pages, self.shape, self.fit, self.classes, self.background)


def folders_of_pairs(root: Path, skipped: Counter[str]) -> dict[str, tuple[Path, Path]]:
    """Return each split's folders of images and of masks, laid out as train/images or images/train.

    Raises:
        Refusal: if the layout is ambiguous or incomplete.
    """
    splits = given_splits(root, skipped)
    if splits != {"train": root}:
        return {name: (part(folder, IMAGES), part(folder, MASKS)) for name, folder in splits.items()}
    images, masks = (given_splits(part(root, names), skipped) for names in (IMAGES, MASKS))
    if alone := sorted(images.keys() ^ masks.keys()):
        raise Refusal(f"Only one of {images['train'].parent} and {masks['train'].parent} has a folder {alone[0]}.")
    return {name: (images[name], masks[name]) for name in images}


def part(folder: Path, names: tuple[str, ...]) -> Path:
    """Return the subfolder that has one of these names.

    Raises:
        Refusal: if there is none, or more than one.
    """
    matches = [path for path in subfolders(folder) if path.name.lower() in names]
    if not matches:
        raise Refusal(
            f"There is no folder {folder / names[0]}; put images and masks of the same names into images/ and masks/."
        )
    if len(matches) > 1:
        names_of_both = f"{matches[0].name} and {matches[1].name}"
        raise Refusal(f"{folder} has {names_of_both}: which has the {names[0]}? Rename the other.")
    return matches[0]


def pairs_in(images: Path, masks: Path, skipped: Counter[str]) -> list[tuple[Path, Path]]:
    """Pair the image and mask files of the same names below two folders.

    Raises:
        Refusal: if a file has no partner.
    """
    pairs = named(images, skipped), named(masks, skipped)
    for files, partners, folder, kind in ((*pairs, masks, "mask"), (*pairs[::-1], images, "image")):
        if alone := sorted(files.keys() - partners.keys()):
            raise Refusal(f"{files[alone[0]]} has no {kind} of the same name in {folder}; add or remove one.")
    return [(pairs[0][name], pairs[1][name]) for name in sorted(pairs[0])]


def named(folder: Path, skipped: Counter[str]) -> dict[str, Path]:
    """Return the image files below a folder by their relative path without its suffix.

    Raises:
        Refusal: if two files differ only in their suffix.
    """
    files: dict[str, Path] = {}
    for path in image_files(folder, skipped):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in files:
            raise Refusal(f"{files[name]} and {path.name} have the same name; rename one of them.")
        files[name] = path
    return files

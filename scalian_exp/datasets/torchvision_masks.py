"""Larger published segmentation data in torchvision's layout on disk, streamed from its files."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from tarfile import TarError
from typing import Any, ClassVar, Literal
from zipfile import BadZipFile

from torchvision import datasets

from scalian_exp.datasets.base import held_out
from scalian_exp.datasets.folds import divided
from scalian_exp.datasets.image_files import Picture
from scalian_exp.datasets.mask_classes import Classes
from scalian_exp.datasets.mask_files import MaskFiles
from scalian_exp.datasets.masks import Masks
from scalian_exp.ranges import Fold, PositiveInt
from scalian_exp.refusal import Refusal


class StreamedMasks(Masks):
    """Base class of published data with two splits: one for training and validation, the other for the test.

    Args:
        root: the folder that contains the data set's folder.
        fit: crop, resize or pad (with void) images to image_size.
        val_size: training images held out for validation.
        fold: "k/n", which holds out part k of n of them instead.
        kwargs: the arguments of `Masks`.

    Raises:
        Refusal: if files are missing and can't be downloaded, or if they can't be used.
    """

    advice: ClassVar[str]
    """Which files to put where, for messages."""
    numbers: ClassVar[Mapping[int, int] | None] = None
    """Number in the files → class, where they differ."""

    def __init__(
        self,
        root: str,
        *args: Any,
        fit: Literal["crop", "resize", "pad"] = "resize",
        val_size: PositiveInt = 200,
        fold: Fold | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.root, self.fit, self.val_size, self.fold = Path(root), fit, val_size, fold

    @abstractmethod
    def paths(self, test: bool) -> Sequence[tuple[str | Path, str | Path]]:
        """Return the paths of images and masks of the test split or of the training split, downloading if needed."""

    def read(self) -> Mapping[str, MaskFiles]:
        """List the files of both splits and hold out a validation split."""
        classes = Classes(self.num_classes, self.ignore_index, numbers=self.numbers)
        train, test = (MaskFiles(self.pairs(part), self.shape, self.fit, classes) for part in (False, True))
        remaining, held = divided(len(train), self.fold) if self.fold else held_out(len(train), self.val_size)
        return {"train": train.subset(remaining.tolist()), "val": train.subset(held.tolist()), "test": test}

    def pairs(self, test: bool) -> list[tuple[Picture, Picture]]:
        """Return the sorted pairs of a split.

        Raises:
            Refusal: if files are missing or broken and can't be downloaded.
        """
        try:
            pairs = sorted((Picture(Path(image)), Picture(Path(mask))) for image, mask in self.paths(test))
        except (OSError, RuntimeError, ValueError, EOFError, TarError, BadZipFile) as error:
            reason = " ".join(str(error).split())
            raise Refusal(
                f"The files of {type(self).__name__} in {self.root} are missing or broken ({reason}); {self.advice}, "
                "or set dataset.root."
            ) from error
        if not pairs:
            raise Refusal(f"{self.root} has no images of {type(self).__name__}; {self.advice}, or set dataset.root.")
        return pairs


class VOC2012(StreamedMasks):
    """PASCAL VOC 2012: photographs of 20 object classes and background (Everingham et al. 2010), 1,464 + 1,449."""

    advice = "put VOCdevkit/VOC2012 of VOCtrainval_11-May-2012.tar there (delete what a broken download left)"

    def paths(self, test: bool) -> Sequence[tuple[str | Path, str | Path]]:
        """Return the pairs of VOC's train split, or of its val split for the test."""
        present = (self.root / "VOCdevkit/VOC2012").is_dir()  # torchvision would unpack it each time
        voc = datasets.VOCSegmentation(str(self.root), image_set="val" if test else "train", download=not present)
        return list(zip(voc.images, voc.masks, strict=True))


class OxfordPets(StreamedMasks):
    """Oxford-IIIT Pets: photographs of cats and dogs (Parkhi et al. 2012), 3,680 + 3,669; pet, background, border."""

    advice = (
        "put images.tar.gz and annotations.tar.gz of https://www.robots.ox.ac.uk/~vgg/data/pets there, unpacked into "
        "oxford-iiit-pet (delete what a broken download left)"
    )
    numbers: ClassVar[Mapping[int, int]] = {1: 0, 2: 1, 3: 2}

    def paths(self, test: bool) -> Sequence[tuple[str | Path, str | Path]]:
        """Return the pairs of the trainval split, or of the test split."""
        split = "test" if test else "trainval"
        datasets.OxfordIIITPet(str(self.root), split, download=True)
        folder = self.root / "oxford-iiit-pet"
        names = [line.split()[0] for line in (folder / f"annotations/{split}.txt").read_text().splitlines()]
        return [(folder / f"images/{name}.jpg", folder / f"annotations/trimaps/{name}.png") for name in names]


class Cityscapes(StreamedMasks):
    """Cityscapes: street scenes of 50 cities (Cordts et al. 2016, arXiv:1604.01685), fine annotations, 2,975 + 500."""

    advice = (
        "it can't be downloaded without an account: get gtFine_trainvaltest.zip and leftImg8bit_trainvaltest.zip from "
        "https://www.cityscapes-dataset.com and put both into the folder cityscapes there"
    )
    numbers: ClassVar[Mapping[int, int]] = {
        kind.id: kind.train_id for kind in datasets.Cityscapes.classes if kind.id >= 0
    }

    def paths(self, test: bool) -> Sequence[tuple[str | Path, str | Path]]:
        """Return the pairs of the train split, or of the val split for the test (test labels are not public)."""
        split = "val" if test else "train"
        city = datasets.Cityscapes(str(self.root / "cityscapes"), split, mode="fine", target_type="semantic")
        return [(image, target) for image, (target,) in zip(city.images, city.targets, strict=True)]

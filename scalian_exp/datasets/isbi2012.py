"""The ISBI 2012 challenge: neuronal membranes in electron micrographs."""

from pathlib import Path
from typing import ClassVar

from scalian_exp.datasets.download import retrieve_any, sources
from scalian_exp.datasets.published_masks import Pairs, PublishedMasks


class ISBI2012(PublishedMasks):
    """Thirty slices of 512×512 pixels through a fly's nerve cord (Cardona et al. 2010; Arganda-Carreras et al. 2015).

    The challenge's test labels are secret, so the first 21 slices are for training, the next 3 for validation and the
    last 6 for the test. The choice isn't random because neighbouring slices are alike.
    """

    folder = "ISBI2012"
    url = "https://raw.githubusercontent.com/zhixuhao/unet/master/data/membrane"
    layout = "its files train/image/0.png … 29.png and train/label/0.png … 29.png"
    slices: ClassVar[dict[str, range]] = {"train": range(21), "val": range(21, 24), "test": range(24, 30)}
    sizes: ClassVar[dict[str, int]] = {split: len(numbers) for split, numbers in slices.items()}
    file_size = (512, 512)
    md5 = "8b658c4c8728594c055b661205426754"

    def download(self, folder: Path) -> None:
        """Download the slices and their labels one by one."""
        for path in (path for pairs in self.pairs(folder).values() for pair in pairs for path in pair):
            retrieve_any(sources(f"{self.url}/{path.relative_to(folder).as_posix()}"), path)

    def pairs(self, folder: Path) -> dict[str, Pairs]:
        """Return the slices of each split, in their order in the tissue, with their labels."""

        def pair(number: int) -> tuple[Path, Path]:
            return folder / f"train/image/{number}.png", folder / f"train/label/{number}.png"

        return {split: [pair(number) for number in numbers] for split, numbers in self.slices.items()}

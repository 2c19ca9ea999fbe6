"""Cut photographs of single things from CamVid's street scenes, as a folder for dataset=image_folder.

    python scripts/cut_camvid_patches.py data/CamVid patches

Writes patches/train, patches/val and patches/test, each with a folder for every class. Each frame is cut into patches
of 64×64 pixels side by side; those of which at least 60 % belong to one class are kept. No frame is in two splits.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
LEAST = 0.6
"""share of a patch's pixels that its class must have"""
NAMES = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
    "void",
)
KEPT = {"sky", "building", "road", "pavement", "tree", "car"}
"""classes that are large enough to fill a patch often"""


def cut(frame: Path, mask: Path, target: Path) -> int:
    """Write the patches of a frame, and return their number."""
    image, labels = Image.open(frame).convert("RGB"), np.asarray(Image.open(mask))
    count = 0
    for top in range(labels.shape[0] % SIDE // 2, labels.shape[0] - SIDE + 1, SIDE):
        for left in range(labels.shape[1] % SIDE // 2, labels.shape[1] - SIDE + 1, SIDE):
            counts = np.bincount(labels[top : top + SIDE, left : left + SIDE].ravel(), minlength=len(NAMES))
            name = NAMES[int(counts.argmax())]
            if counts.max() < LEAST * SIDE**2 or name not in KEPT:
                continue
            file = target / name / f"{frame.stem}_{top}_{left}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            image.crop((left, top, left + SIDE, top + SIDE)).save(file)
            count += 1
    return count


def main() -> None:
    """Cut all three splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="CamVid's folder, with train/, trainannot/ and so on")
    parser.add_argument("target", type=Path, help="the folder to write")
    source, target = vars(parser.parse_args()).values()
    if not any((source / "train").glob("*.png")):
        parser.error(
            f"{source} has no frames in train/; scalian-train model=unet dataset=camvid downloads CamVid into data/"
        )
    for split in ("train", "val", "test"):
        frames = sorted((source / split).glob("*.png"))
        count = sum(cut(frame, source / f"{split}annot" / frame.name, target / split) for frame in frames)
        classes = [f"{each.name} {len(list(each.iterdir()))}" for each in sorted((target / split).iterdir())]
        print(f"{split}: {count} patches of {len(frames)} frames: {', '.join(classes)}")


if __name__ == "__main__":
    main()

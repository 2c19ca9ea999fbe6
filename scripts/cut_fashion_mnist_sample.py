"""Cut the embedded sample of Fashion-MNIST from Debian's package dataset-fashion-mnist (Expat licence).

    apt-get install dataset-fashion-mnist
    python scripts/cut_fashion_mnist_sample.py

It takes the first 600 training and the first 100 test images of each of the ten classes, in the files' order, so that
the result is the same everywhere, byte for byte.
"""

import gzip
from pathlib import Path

import numpy as np

SOURCE = Path("/usr/share/datasets/fashion-mnist")
TARGET = Path(__file__).parents[1] / "scalian_exp/datasets/samples/fashion_mnist.npz"
PER_CLASS = {"train": ("train", 600), "test": ("t10k", 100)}


def idx(name: str) -> np.ndarray:
    """Read an idx file of bytes: two zero bytes, the type, the number of dimensions, the dimensions, the data."""
    raw = gzip.decompress((SOURCE / f"{name}.gz").read_bytes())
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def main() -> None:
    """Write the sample."""
    arrays = {}
    for split, (prefix, count) in PER_CLASS.items():
        images, labels = idx(f"{prefix}-images-idx3-ubyte"), idx(f"{prefix}-labels-idx1-ubyte")
        chosen = np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(10)]))
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images[chosen], labels[chosen]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(TARGET, **arrays)
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

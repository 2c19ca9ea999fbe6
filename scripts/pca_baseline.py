"""Compute the squared error per test image of a principal component analysis, as a baseline for autoencoders.

    python scripts/pca_baseline.py --dataset mnist --components 30      # 13.87, as Hinton & Salakhutdinov 2006 report

Components and mean are fitted on the training and validation images, pixels in [0, 1]; the error is summed over pixels
and averaged over the test images.
"""

import argparse

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from scalian_exp.build import build
from scalian_exp.vocabulary.config_folders import CONFIGS


def squared_error(train: Tensor, test: Tensor, components: int) -> float:
    """Return the squared error per test vector (M, D), projected onto the training vectors' (N, D) first components."""
    mean = train.mean(0)
    centred = train - mean
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -components:]
    rest = test - mean
    return float((rest - rest @ directions @ directions.T).square().sum(1).mean())


def main() -> None:
    """Print the squared error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist", help="an image data set that fits in memory")
    parser.add_argument("--components", type=int, default=30)
    arguments = parser.parse_args()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[f"dataset={arguments.dataset}"]).dataset
    data = build("dataset", OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    vectors = {name: part.examples["image"].flatten(1).double() / 255 for name, part in data.splits.items()}
    error = squared_error(torch.cat([vectors["train"], vectors["val"]]), vectors["test"], arguments.components)
    print(
        f"PCA with {arguments.components} components on {arguments.dataset}: squared error {error:.3f} per test image"
    )


if __name__ == "__main__":
    main()

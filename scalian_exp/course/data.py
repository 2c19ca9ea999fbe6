"""Which data sets the course's runs learn from."""

from pathlib import Path

import yaml

from scalian_exp.course.training import experiment
from scalian_exp.refusal import Refusal

SAMPLE = "fashion_mnist_sample"
"""data set of the experiments' images; those with binary pixels end otherwise: fashion_mnist_sample_binarized_dynamic"""
IMAGES = {"mnist": "MNIST/raw/train-images-idx3-ubyte", "sample": None}
"""data sets of images to choose from, and a file that is there if they are"""
LIKE_SAMPLE = ["dataset.train_size=5000", "dataset.val_size=1000"]
"""so that an epoch takes as long as one of the sample"""
RATINGS = {"movielens_100k": "ml-100k/u.data"}


def overrides_of_data(dataset: str | None, root: Path) -> dict[str, list[str]]:
    """Return the overrides that choose the data of each experiment of the course, by the experiment's name.

    Args:
        dataset: mnist or sample; None takes mnist if its files are below root.
        root: folder of the data sets.

    Raises:
        Refusal: if there is no such data set.
    """
    if dataset not in (None, *IMAGES):
        raise Refusal(f"dataset={dataset}: the course's images are those of {' or '.join(IMAGES)}.")
    mnist = dataset == "mnist" or (dataset is None and here(root / str(IMAGES["mnist"])))
    place = [] if root == Path("data") else [f"dataset.root={root}"]
    result = {}
    for file in sorted(experiment("*").parent.glob("*.yaml")):
        own = natural(file)
        if own.startswith(SAMPLE) and mnist:
            result[file.stem] = [f"dataset={own.replace(SAMPLE, 'mnist')}", *LIKE_SAMPLE, *place]
        elif own == "fake_ratings" and here(root / RATINGS["movielens_100k"]):
            result[file.stem] = ["dataset=movielens_100k", *place]
        else:
            result[file.stem] = []
    return result


def here(file: Path) -> bool:
    """Return whether a file is there, perhaps compressed."""
    return file.exists() or file.with_name(f"{file.name}.gz").exists()


def natural(file: Path) -> str:
    """Return the data set that an experiment's file chooses; nothing if it leaves that to its model."""
    defaults = yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", [])
    return next((str(each["override /dataset"]) for each in defaults if "override /dataset" in each), "")

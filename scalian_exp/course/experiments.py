"""The experiments of the course: on which data they train, and which other runs they need."""

from pathlib import Path
from typing import NamedTuple

import hydra

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.grammar import literal

GROUP = "course"
"""the folder of configs/experiment that holds them"""
SAMPLE = "fashion_mnist_sample"
"""data set of their images; its binary variants are named fashion_mnist_sample_binarized_dynamic and the like"""
IMAGES = {"mnist": "MNIST/raw/train-images-idx3-ubyte", "sample": None}
"""data sets of images to choose from, and a file that shows that one is there"""
RATINGS = {"movielens_100k": "ml-100k/u.data"}


class Experiment(NamedTuple):
    """An experiment of the course."""

    overrides: list[str]
    """of its training, except for `outputs`"""
    needs: set[str]
    """names of other runs that must be finished before"""
    asked: bool = False
    """whether the data set was asked for; else a run that has begun keeps its own"""


def experiments(names: list[str], dataset: str | None, root: Path) -> dict[str, Experiment]:
    """Return the experiments of these names.

    Args:
        names: of files in configs/experiment/course.
        dataset: mnist or sample; None takes mnist if its files are below root.
        root: folder of the data sets.

    Raises:
        Refusal: if there is no such data set.
    """
    if dataset not in (None, *IMAGES):
        raise Refusal(f"dataset={dataset}: the course's images are those of {' or '.join(IMAGES)}.")
    mnist = dataset == "mnist" or (dataset is None and here(root / str(IMAGES["mnist"])))
    place = [] if root == Path("data") else [f"dataset.root={literal(str(root))}"]
    result = {}
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for name in names:
            own = [f"experiment={GROUP}/{name}"]
            config = hydra.compose("train", own, return_hydra_config=True)
            data = str(config.hydra.runtime.choices["dataset"])
            if data.startswith(SAMPLE) and mnist:
                own += [f"dataset={data.replace(SAMPLE, 'mnist')}", *place]
            elif data == "fake_ratings" and here(root / RATINGS["movielens_100k"]):
                own += ["dataset=movielens_100k", *place]
            judges = [str(node.judge) for node in config.callbacks.values() if node and "judge" in node]
            result[name] = Experiment(own, {Path(judge).name for judge in judges}, dataset is not None)
    return result


def here(file: Path) -> bool:
    """Return whether a file is there, perhaps compressed."""
    return file.exists() or file.with_name(f"{file.name}.gz").exists()

"""Tools of the tests: configs without the command line, and tiny versions of every model."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from scalian_exp.datasets.images import TensorBatches
from scalian_exp.vocabulary.options import CONFIGS

TINY = {
    "network.hidden": [8],
    "network.channels": [4, 4],
    "network.latent_dim": 2,
    "network.features": 8,
    "network.head_features": 8,
    "network.network.features": 4,
    "network.network.head_features": 8,
    "network.width": 0.03,
    "network.layers": [1, 1],
    "network.glimpses": 2,
    "network.lstm_units": 6,
    "importance_samples": 3,
    "likelihood.runs": 3,
    "likelihood.steps": [3, 3, 3],
    "likelihood.gibbs_steps": 3,
    "val_likelihood.runs": 3,
    "val_likelihood.steps": [3, 3, 3],
}
"""widths for tests, for whichever of these a model has"""


needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="no chromium here: apt-get install chromium chromium-driver",
)
"""marks tests of pages"""


@pytest.fixture(autouse=True)
def nothing_left_of_hydra() -> Iterator[None]:
    """A command that ran in this process leaves its config to none of the tests after it."""
    yield
    HydraConfig.instance().cfg = None


def names(group: str) -> list[str]:
    """All options of a config group, found by listing."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def composed(*overrides: str) -> Any:
    """The config that a command line means, not yet resolved."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def fake(model: str) -> str:
    """The made-up data set of the kind that a model needs."""
    needs = fits(model)["needs"]
    if "binary" in needs:
        return "fake_binary"
    if "ratings" in needs:
        return "fake_ratings"
    return "fake_texts" if "texts" in needs else "fake_masks" if "masks" in needs else "fake_images"


@cache
def fits(model: str) -> dict[str, Any]:
    """A model's own words: its task and what it needs of the data."""
    said = yaml.safe_load((CONFIGS / f"model/{model}.yaml").read_text(encoding="utf-8"))
    words: dict[str, Any] = said["model"]["fits"]
    return words


def partnered(partners: Callable[[str], list[str]]) -> list[Any]:
    """Every model with every partner, as parameters of a test. What a task asks of its loss and data is the same for
    all its models, so the default run tries one of them with all partners; the slow tests try the others."""
    seen, parameters = set(), []
    for model in names("model"):
        others, kind = partners(model), str(fits(model))
        marks = [pytest.mark.slow] if kind in seen else []
        parameters += [pytest.param(model, other, marks=marks) for other in others]
        seen.add(kind)
    return parameters


def kinds() -> list[Any]:
    """Every model, as parameters of a test: the default run tries one of those that share the classes of their task and
    network, the slow tests the others."""
    seen, parameters = set(), []
    for model in names("model"):
        said = yaml.safe_load((CONFIGS / f"model/{model}.yaml").read_text(encoding="utf-8"))["model"]
        kind = (said["_target_"], said["network"]["_target_"])
        parameters.append(pytest.param(model, marks=[pytest.mark.slow] if kind in seen else []))
        seen.add(kind)
    return parameters


def of_each_kind() -> list[Any]:
    """All models as parameters of a test: of those that say the same of what fits them the default run tries the first,
    the slow tests the others."""
    seen, parameters = set(), []
    for model in names("model"):
        kind = str(fits(model))
        parameters.append(pytest.param(model, marks=[pytest.mark.slow] if kind in seen else []))
        seen.add(kind)
    return parameters


def widths(model: str) -> list[str]:
    """Overrides that make a model tiny."""
    said = yaml.safe_load((CONFIGS / f"model/{model}.yaml").read_text(encoding="utf-8"))["model"]
    has = OmegaConf.create(said)
    return [f"model.{key}={value}" for key, value in TINY.items() if OmegaConf.select(has, key) is not None]


def tiny(model: str, *overrides: str) -> dict[str, Any]:
    """A resolved config that trains a tiny version of a model on fake data in a second."""
    config = composed(
        *[f"model={model}", f"dataset={fake(model)}", "callbacks=minimal", "logger=none", "trainer/accelerator=cpu"],
        *["trainer.max_epochs=1", *widths(model), *overrides],
    )
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return plain


def numbered(size: int) -> TensorBatches:
    """So many examples in memory, which are their own numbers."""
    return TensorBatches({"image": torch.arange(size)})


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return Path(__file__).parents[1]

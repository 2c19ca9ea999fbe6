"""Shared by the tests: configs without the command line, tiny versions of every model, comparisons."""

import csv
import shutil
from collections.abc import Callable
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from scalian_exp.batches import VOID
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.options import options

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
"""sizes that make a model tiny; each model takes those that it has"""


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and shutil.which("chromedriver")),
    reason="no chromium here: apt-get install chromium chromium-driver",
)
"""marks tests that open a page in a browser"""


OF_OTHER_LIBRARIES = {"smp_unet", "torchvision_deeplab"}
"""models whose networks are other libraries': tests/networks/test_adapted.py tests them, with the trust they need"""


def own_models() -> list[str]:
    """List the models whose networks are this package's."""
    return [model for model in names("model") if model not in OF_OTHER_LIBRARIES]


def names(group: str) -> list[str]:
    """List all options of a config group, without the old names."""
    return list(every_option(group))


def composed(*overrides: str) -> Any:
    """Compose the config of a command line, without resolving it."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def fake(model: str) -> str:
    """Return the name of the fake data set that a model can train on."""
    needs = fits(model)["needs"]
    if "binary" in needs:
        return "fake_binary"
    if "ratings" in needs:
        return "fake_ratings"
    return "fake_texts" if "texts" in needs else "fake_masks" if "masks" in needs else "fake_images"


@cache
def fits(model: str) -> dict[str, Any]:
    """Return a model's `fits`: its task and what it needs of the data."""
    node: dict[str, Any] = option("model", model)["fits"]
    return node


def partnered(partners: Callable[[str], list[str]]) -> list[Any]:
    """List every model of ours with every partner, as parameters of a test.

    All models of a task ask the same of their loss and data, so the default run tries one of them with all its
    partners, and the slow tests try the others.
    """
    seen, parameters = set(), []
    for model in own_models():
        others, kind = partners(model), str(fits(model))
        marks = [pytest.mark.slow] if kind in seen else []
        parameters += [pytest.param(model, other, marks=marks) for other in others]
        seen.add(kind)
    return parameters


def kinds() -> list[Any]:
    """List every model of ours, as parameters of a test.

    The default run tries one of the models that share the classes of their task and network, and the slow tests the
    others.
    """
    seen, parameters = set(), []
    for model in own_models():
        node = option("model", model)
        kind = (node["_target_"], node["network"]["_target_"])
        parameters.append(pytest.param(model, marks=[pytest.mark.slow] if kind in seen else []))
        seen.add(kind)
    return parameters


def of_each_kind() -> list[Any]:
    """List every model of ours, as parameters of a test.

    The default run tries the first of the models with equal `fits`, and the slow tests the others.
    """
    seen, parameters = set(), []
    for model in own_models():
        kind = str(fits(model))
        parameters.append(pytest.param(model, marks=[pytest.mark.slow] if kind in seen else []))
        seen.add(kind)
    return parameters


def widths(model: str) -> list[str]:
    """Return the overrides that make a model tiny."""
    has = OmegaConf.create(option("model", model))
    return [f"model.{key}={value}" for key, value in TINY.items() if OmegaConf.select(has, key) is not None]


def tiny(model: str, *overrides: str) -> dict[str, Any]:
    """Return a resolved config that trains a tiny version of a model on fake data in a second."""
    config = composed(
        *[f"model={model}", f"dataset={fake(model)}", "callbacks=minimal", "logger=none", "trainer/accelerator=cpu"],
        *["trainer.max_epochs=1", *widths(model), *overrides],
    )
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return plain


def numbered(size: int) -> TensorBatches:
    """Return examples in memory that consist of their own index."""
    return TensorBatches({"image": torch.arange(size)})


def option(group: str, name: str) -> dict[str, Any]:
    """Return the contents of an option's file with what it inherits, without composing."""
    return every_option(group)[name]


@cache
def every_option(group: str) -> dict[str, dict[str, Any]]:
    """Return the contents of all files of a group with what they inherit."""
    return options(group)


def fit_together(model: str, dataset: str, loss: str) -> bool:
    """Tell whether a model, a data set and a loss fit together, computed independently of the package."""
    m, d, l = option("model", model)["fits"], option("dataset", dataset), option("loss", loss)["fits"]  # noqa: E741
    return m["task"] in l["tasks"] and {*m["needs"], *l["needs"]} <= set(d["provides"])


def make_unbeatable(checkpoint: Path) -> None:
    """Change the best score that a checkpoint remembers to 0, which no later epoch reaches."""
    contents = torch.load(checkpoint, weights_only=True)
    for state in contents["callbacks"].values():
        if state.get("monitor"):
            state["best_model_score"] = state["kth_value"] = torch.tensor(0.0)
            state["best_k_models"] = {path: torch.tensor(0.0) for path in state["best_k_models"]}
    torch.save(contents, checkpoint)


def script(name: str) -> Any:
    """Import a file of scripts/, which is no package."""
    spec = spec_from_file_location(name, Path(__file__).parents[1] / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_csv(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header."""
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return the paths at which two checkpoints differ."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one.nan_to_num(), other.nan_to_num()) and one.dtype == other.dtype else [path]
    if isinstance(one, dict):
        missing = [f"{path}/{key}" for key in one.keys() ^ other.keys()]
        return missing + [
            d for key in one.keys() & other.keys() for d in differences(one[key], other[key], f"{path}/{key}")
        ]
    if isinstance(one, list | tuple):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{path}/{i}")]
    return [] if one == other or (one != one and other != other) else [path]


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return all files and folders below a folder, with the files' contents."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def browser(profile: Path) -> Any:
    """Start headless Chromium with a fresh profile."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        *["headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-quic"],
        *["disable-component-update", "disable-sync", "window-size=1400,1400", f"user-data-dir={profile}"],
    ):
        options.add_argument(f"--{flag}")
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


ONE_STEP = ["trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]


def sentence(data: Any) -> str:
    """Return the one-line message with which a data set refuses to be set up."""
    with pytest.raises(Refusal) as caught:
        data.setup()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def some_batch(void: float = 0.3, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Return logits (2, K, 8, 9) and labels (2, 8, 9), some of which are void."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (2, 8, 9), generator=generator)
    labels[torch.rand(2, 8, 9, generator=generator) < void] = VOID
    return 2 * torch.randn(2, classes, 8, 9, generator=generator), labels

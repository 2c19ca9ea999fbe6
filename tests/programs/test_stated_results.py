"""Trainings of minutes on the embedded images, whose results the documentation states."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tools import composed

from scalian_exp.build import build
from scalian_exp.run.training import train

pytestmark = pytest.mark.slow


def results(folder: Path, *overrides: str) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(composed(*overrides, "callbacks=minimal", "logger=none"), resolve=True)
    return train(plain, folder)


def pca_error(components: int) -> float:
    """Return the squared error per test image of principal components of the same training images."""
    plain: Any = OmegaConf.to_container(composed("dataset=fashion_mnist_sample").dataset)
    data = build("dataset", plain)
    data.setup()
    vectors = {name: part.examples["image"].flatten(1).double() / 255 for name, part in data.splits.items()}
    mean = vectors["train"].mean(0)
    directions = torch.linalg.svd(vectors["train"] - mean, full_matrices=False).Vh[:components]
    rest = vectors["test"] - mean
    return float((rest - rest @ directions.T @ directions).square().sum(1).mean())


def test_two_codes_of_an_autoencoder_beat_two_principal_components(tmp_path: Path) -> None:
    assert results(tmp_path, "model=autoencoder")["test/squared_error"] < 0.75 * pca_error(2)


def test_beta_trades_kl_for_reconstruction(tmp_path: Path) -> None:
    runs = [
        results(tmp_path / str(beta), "model=vae", f"loss.beta={beta}", "trainer.max_epochs=15")
        for beta in (0.5, 1, 4, 10)
    ]
    kl, reconstruction = ([run[f"test/{name}"] for run in runs] for name in ("kl", "reconstruction"))
    assert kl == sorted(kl, reverse=True)
    assert reconstruction == sorted(reconstruction)
    assert min(runs, key=lambda run: run["test/neg_elbo"]) is runs[1]  # only β = 1 optimises the bound itself


def test_more_importance_samples_tighten_the_bound(tmp_path: Path) -> None:
    run = results(tmp_path, "model=vae", "model.importance_samples=500")
    assert run["test/nll_bound_iw500"] < run["test/neg_elbo"] - 1


def test_denoising_beats_the_plain_autoencoder_on_noise(tmp_path: Path) -> None:
    """A network trained to remove noise removes more of it than the same network trained to copy."""
    from scalian_exp.checkpoint import load
    from scalian_exp.networks.corruptions import Masking

    for name, corruption in (("denoising", []), ("plain", ["model.corruption=null"])):
        results(tmp_path / name, "model=denoising_autoencoder", "trainer.max_epochs=10", "test=false", *corruption)
    plain: Any = OmegaConf.to_container(composed("dataset=fashion_mnist_sample").dataset)
    data = build("dataset", plain)
    data.setup()
    clean = data.splits["test"].examples["image"] / 255
    noisy = Masking(0.25)(clean)
    errors = {}
    for name in ("denoising", "plain"):
        with torch.no_grad():
            errors[name] = float((load(tmp_path / name).task.reconstruct(noisy) - clean).square().mean())
    assert errors["denoising"] < 0.7 * errors["plain"]

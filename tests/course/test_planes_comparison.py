"""The comparison of planes of codes: holes of made-up planes, and Fréchet distances from their definition."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from tools import tiny

from scalian_exp.checkpoint import load
from scalian_exp.course.comparison import Trained
from scalian_exp.course.comparisons.planes.exhibit import take
from scalian_exp.course.comparisons.planes.holes import share_in_holes, spacing
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


def test_holes_are_where_no_code_is_as_near_as_codes_are_to_one_another() -> None:
    grid = torch.cartesian_prod(torch.arange(10.0), torch.arange(10.0))
    grid = grid[(grid - 4.5).norm(dim=1) > 2]  # with a hole in its middle
    assert spacing(grid) == 1
    drawn = torch.tensor([[4.5, 4.5], [0.5, 0.5], [-0.9, 0.0], [-1.1, 0.0]])  # the first and the last are far from all
    assert share_in_holes(drawn, grid, spacing(grid)) == 0.5
    outlier = torch.cat([grid, torch.tensor([[50.0, 50.0]])])
    assert spacing(outlier) == 1  # one of 86 codes

    generator = torch.Generator().manual_seed(0)
    codes, others = torch.randn(2, 1500, 2, generator=generator)
    assert share_in_holes(others, codes, spacing(codes)) == pytest.approx(0.02, abs=0.01)


def trained(folder: Path, *overrides: str) -> Trained:
    train(tiny(*overrides), folder)
    run = Run(load(folder))
    return Trained(run, run.facts)


def test_random_codes_are_judged_by_the_classifiers_features(tmp_path: Path) -> None:
    runs = {
        name: trained(tmp_path / name, name, *options)
        for name, options in {
            "autoencoder": (),
            "vae": ("model.network.latent_dim=3",),
            "classifier": ("model.network.features=6",),
        }.items()
    }
    store = Store("planes")
    with torch.no_grad(), store.exhibit("planes"):
        facts = take(runs, {"runs": {"autoencoder": "AE"}, "judge": "classifier"}, store)
    own = facts["runs"]["autoencoder"]

    run, judge = runs["autoencoder"].run, runs["classifier"].run.network.requires_grad_(False)
    run.network.requires_grad_(False)
    images = run.batch("test", run.spread("test", 1500))["image"]  # all of them
    real, made = (judge.encode(x).double().numpy() for x in (images, torch.sigmoid(run.network(images))))
    (a, b), (c, d) = ((x.mean(0), np.cov(x.T)) for x in (real, made))
    roots = np.sqrt(np.linalg.eigvals(b @ d).real.clip(0))
    expected = np.square(a - c).sum() + np.trace(b + d) - 2 * roots.sum()
    assert own["reconstructed"] == pytest.approx(expected, rel=1e-2, abs=1e-4)

    torch.manual_seed(0)
    drawn, codes = torch.randn(len(images), 2)[:1000], run.network.encode(images)
    tree = cKDTree(codes)
    assert own["spacing"] == pytest.approx(np.quantile(tree.query(codes, k=2)[0][:, 1], 0.98), rel=1e-5)
    assert own["standard"]["holes"] == np.mean(tree.query(drawn)[0] > own["spacing"])
    assert np.allclose(own["mean"], codes.mean(0), atol=1e-5)
    spread = np.array(own["spread"])
    assert np.allclose(spread @ spread.T, np.cov(codes.T, ddof=0), rtol=1e-3)

    with store.exhibit("longer"), pytest.raises(Refusal, match="codes of 3 numbers"):
        take(runs, {"runs": {"autoencoder": "AE", "vae": "VAE"}, "judge": "classifier"}, store)
    with store.exhibit("unjudged"), pytest.raises(Refusal, match="judge by a run of model=classifier"):
        take(runs, {"runs": {"autoencoder": "AE"}, "judge": "vae"}, store)

"""Random codes of autoencoders: their moments, and the images that they decode to."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from commands import command
from tools import tiny

from scalian_exp.actions.action import batches
from scalian_exp.actions.sample import Sample
from scalian_exp.checkpoint import load
from scalian_exp.figures.grids import rows_of_images
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.tasks.random_codes import fitted_normal, random_codes


def test_random_codes_have_the_moments_of_their_distributions() -> None:
    """Compare with numpy's moments of the training codes, which are skewed, correlated and far from 0."""
    rng = np.random.default_rng(0)
    training = rng.exponential(size=(3000, 3)) @ np.array([[2.0, 1.0, 0.0], [0.0, 0.5, -1.0], [0.0, 0.0, 0.1]]) + 5
    torch.manual_seed(0)
    standard, fitted = (codes.numpy() for codes in random_codes(200_000, torch.from_numpy(training)).values())
    assert standard.mean(0) == pytest.approx(np.zeros(3), abs=0.01)
    assert np.cov(standard.T) == pytest.approx(np.eye(3), abs=0.02)
    assert fitted.mean(0) == pytest.approx(training.mean(0), abs=0.02)
    assert np.cov(fitted.T) == pytest.approx(np.cov(training.T), abs=0.05)
    third_moments = ((fitted - fitted.mean(0)) ** 3).mean(0) / fitted.std(0) ** 3
    assert third_moments == pytest.approx(np.zeros(3), abs=0.03)  # normal, though the training codes aren't


def test_codes_of_fewer_examples_than_dimensions_stay_in_their_span() -> None:
    training = torch.randn(4, 30)
    drawn = fitted_normal(500, training)
    directions = training - training.mean(0)
    rest = drawn - training.mean(0)
    assert rest.std() > 0.1
    assert torch.linalg.matrix_rank(torch.cat([directions, rest]), rtol=1e-4) == 3
    assert torch.allclose(fitted_normal(5, training[:1]), training[:1].expand(5, -1))  # one code: no variance


@pytest.mark.parametrize("name", ["autoencoder", "conv_autoencoder", "denoising_autoencoder", "stacked_autoencoder"])
def test_an_autoencoder_decodes_random_codes_of_both_kinds(name: str, tmp_path: Path) -> None:
    train(tiny(name, "test=false"), tmp_path / "run")
    model = load(tmp_path / "run")
    network = model.task.network
    with torch.no_grad():
        codes = torch.cat([network.encode(batch["image"]) for batch in batches(model, "train")])
    assert len(codes) == 48
    with patch("scalian_exp.actions.sample.rows_of_images", wraps=rows_of_images) as drawn:
        (file,) = Sample(count=7, seed=3).run(model, tmp_path / "out")
    groups: dict[str, Any] = drawn.call_args[0][0]
    assert file.name == "samples.png"
    assert list(groups) == ["N(0, 1)", "normal, fitted to\ntraining codes"]
    torch.manual_seed(3)
    for group, z in zip(groups.values(), random_codes(7, codes).values(), strict=True):
        with torch.no_grad():
            expected = 1 / (1 + torch.exp(-network.decode(z)))
        assert len(z) == 7
        torch.testing.assert_close(group, expected)


def test_random_codes_are_refused_labels_temperatures_and_texts(tmp_path: Path) -> None:
    train(tiny("autoencoder", "test=false"), tmp_path / "images")
    train(tiny("text_autoencoder", "test=false"), tmp_path / "texts")
    model = load(tmp_path / "images")
    for arguments, sentence in (
        ({"label": 1}, "knows no labels"),
        ({"temperature": 0.5}, "leave temperature out"),
        ({"count": 2**40}, "of memory"),
    ):
        with pytest.raises(Refusal, match=sentence):
            Sample(**arguments).run(model, tmp_path / "out")
    refused = command("run=texts", "action=sample", cwd=tmp_path, module="apply")
    assert "action=sample needs samples drawn from the model;" in refused.stderr
    drawn = command("run=images", "action=sample", "count=3", cwd=tmp_path, module="apply")
    assert "samples.png" in drawn.stdout, drawn.stderr

"""Likelihoods of images by action=likelihood, for networks whose likelihood is an integral over codes."""

from pathlib import Path

import pytest
import torch
from tools import tiny
from torch.distributions import Bernoulli

from scalian_exp.actions.action import examples
from scalian_exp.actions.likelihood import Likelihood, ranked
from scalian_exp.checkpoint import load
from scalian_exp.run.training import train


@pytest.mark.parametrize("dataset", ["fake_binary", "fake_images"])
def test_the_bound_is_exact_where_codes_tell_nothing(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With q(z|x) = p(z) all weights are p(x|z), and a decoder that ignores z makes them p(x)."""
    train(tiny("vae", "loss=iwae", "loss.samples=2", f"dataset={dataset}", "test=false"), tmp_path / "run")
    model = load(tmp_path / "run")
    network = model.task.network
    with torch.no_grad():
        for layer in (network.mean, network.log_variance, network.decoder[0][0]):
            for parameter in layer.parameters():
                parameter.zero_()
        logits = network.decode(torch.zeros(1, network.latent_dim))
    capsys.readouterr()
    files = Likelihood(count=6, samples=3).run(model, tmp_path / "applied")
    x = examples(model, 6)["image"]
    log_p = x * logits.sigmoid().log() + (1 - x) * (1 - logits.sigmoid()).log()
    if dataset == "fake_binary":
        torch.testing.assert_close(log_p, Bernoulli(logits=logits).log_prob(x).expand_as(x))
    printed = capsys.readouterr().out
    assert f"≤ {-float(log_p.flatten(1).sum(1).mean()):.2f} ± " in printed
    assert "by 3 importance samples (6 images" in printed
    assert ("of grey pixels" in printed) == (dataset == "fake_images")
    assert files == [tmp_path / "applied/likelihood.png"]
    assert files[0].stat().st_size > 1000


def test_images_are_shown_from_the_most_to_the_least_probable() -> None:
    values = torch.tensor([5.0, 1.0, 4.0, 0.0, 2.0, 3.0])
    assert values[ranked(values, most=3)].tolist() in ([0, 2, 5], [0, 3, 5])
    assert values[ranked(values)].tolist() == [0, 1, 2, 3, 4, 5]
    assert values[ranked(values[:1])].tolist() == [5]
    assert ranked(torch.arange(19)).tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]

"""The importance-weighted bound as a loss: against the ELBO, a linear-Gaussian model's likelihood, and a slow twin."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from linear_gaussian import SIGMA, LinearLikelihood, linear_gaussian, log_evidence
from small_networks import draw_networks
from tools import option, tiny
from torch import Tensor, nn
from torch.distributions import Normal

from scalian_exp.checkpoint import load
from scalian_exp.losses.elbo import ELBO, Bernoulli
from scalian_exp.losses.importance_weighted import ImportanceWeighted
from scalian_exp.networks.vae import VAE
from scalian_exp.run.training import train


def gradients(loss: Tensor, network: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


def expected_gradients(network: VAE, x: Tensor, loss: nn.Module, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return the mean of a loss's gradients over all noise; they are quadratic in it, so 3 × 3 nodes are exact."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    total: list[Tensor] = []
    for a, weight_a in zip(nodes, weights, strict=True):
        for b, weight_b in zip(nodes, weights, strict=True):
            noise = torch.tensor([a, b], dtype=torch.float64)
            monkeypatch.setattr(torch, "randn", lambda *shape, noise=noise, **_: noise.expand(*shape))
            monkeypatch.setattr(torch, "randn_like", lambda like, noise=noise: noise.expand_as(like))
            here = [weight_a * weight_b / (2 * math.pi) * g for g in gradients(loss.terms(network, x).loss, network)]
            total = here if not total else [one + other for one, other in zip(total, here, strict=True)]
    return total


def test_with_one_sample_the_gradient_is_that_of_the_elbo(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = linear_gaussian(exact=False)
    network, x = network.double(), x.double()
    one, elbo = (
        expected_gradients(network, x, loss, monkeypatch)
        for loss in (ImportanceWeighted(LinearLikelihood(), samples=1), ELBO(LinearLikelihood()))
    )
    torch.testing.assert_close(one, elbo, rtol=1e-9, atol=1e-9)


def test_the_gradient_is_that_of_a_slow_twin() -> None:
    """Each code of each image on its own, densities by torch.distributions, weights normalised by hand (eq. 14)."""
    network, x = linear_gaussian(exact=False)
    network, x = network.double(), x.double()
    torch.manual_seed(1)
    terms = ImportanceWeighted(LinearLikelihood(), samples=5).terms(network, x)
    fast = gradients(terms.loss, network)
    torch.manual_seed(1)
    noise = torch.randn(5, len(x), 2, dtype=torch.float64)
    surrogate, bound = torch.zeros((), dtype=torch.float64), 0.0
    for image, of_image in zip(x, noise.unbind(1), strict=True):
        logs = []
        for e in of_image:
            mean, log_variance = network.posterior(image[None])
            posterior = Normal(mean, torch.exp(log_variance / 2))
            z = mean + posterior.stddev * e
            likelihood = Normal(network.decode(z), SIGMA).log_prob(image).sum()
            logs.append(likelihood + Normal(0.0, 1.0).log_prob(z).sum() - posterior.log_prob(z).sum())
        weights = np.exp([log.item() for log in logs])
        surrogate = surrogate + sum(w * log for w, log in zip(weights / weights.sum(), logs, strict=True)) / len(x)
        bound += math.log(weights.mean()) / len(x)
    assert float(terms.loss) == pytest.approx(-bound)
    torch.testing.assert_close(fast, gradients(-surrogate, network), rtol=1e-8, atol=1e-8)


@torch.no_grad()
def test_more_samples_approach_the_likelihood_from_below() -> None:
    network, x = linear_gaussian(exact=False)
    many, exact = x.repeat(2000, 1, 1, 1), float(log_evidence(network, x).mean())
    bounds = [-float(ImportanceWeighted(LinearLikelihood(), k).terms(network, many).loss) for k in (1, 5, 50)]
    assert bounds[0] + 0.05 < bounds[1] < bounds[2] <= exact + 0.005
    assert bounds[2] == pytest.approx(exact, abs=0.02)


@torch.no_grad()
def test_the_terms_add_up_to_the_elbo_of_the_same_codes() -> None:
    network, x = linear_gaussian(exact=False)
    many = x.repeat(2000, 1, 1, 1)
    terms = ImportanceWeighted(LinearLikelihood(), 5).terms(network, many)
    of_elbo = ELBO(LinearLikelihood()).terms(network, many)
    assert float(terms.kl) == pytest.approx(float(of_elbo.kl), abs=0.02)
    assert float(terms.reconstruction) == pytest.approx(float(of_elbo.reconstruction), abs=0.05)
    assert terms.bounds == {"nll_bound_iw5": terms.loss}


def test_it_trains_draw_through_every_glimpse() -> None:
    for network in draw_networks(1, (4, 4)):
        x = torch.bernoulli(torch.rand(3, 1, 4, 4))
        ImportanceWeighted(Bernoulli(), 4).terms(network, x).loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_half_precision_sums_in_single() -> None:
    network, x = linear_gaussian(exact=False)
    with torch.autocast("cpu", torch.bfloat16):
        terms = ImportanceWeighted(Bernoulli(), 4).terms(network, x.clamp(0, 1))
    assert terms.loss.dtype == torch.float32


@pytest.mark.parametrize("model", ["vae", "conv_vae", "draw_small"])
def test_the_bound_is_logged_in_training_and_validation(model: str, tmp_path: Path) -> None:
    train(tiny(model, "loss=iwae", "loss.samples=4", "logger=csv"), tmp_path / "run")
    header = next((tmp_path / "run").rglob("metrics.csv")).read_text().partition("\n")[0].split(",")
    assert {"train/nll_bound_iw4", "val/nll_bound_iw4", "test/nll_bound_iw3", "val/neg_elbo", "val/kl"} <= set(header)
    assert not any(name.startswith("val/kl/") for name in header)
    loaded = load(tmp_path / "run")
    assert loaded.task.loss.samples == 4


def test_iwae_is_the_papers_network_with_its_bound() -> None:
    iwae, vae = option("model", "iwae"), option("model", "vae_iwae")
    assert iwae["network"] == vae["network"]
    assert tiny("iwae")["loss"]["_target_"].endswith("ImportanceWeighted")

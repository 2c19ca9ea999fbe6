"""The bound against closed forms of a linear-Gaussian model, whose likelihood and posterior are known."""

import math

import pytest
import torch
from linear_gaussian import LinearLikelihood, linear_gaussian, log_evidence
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal, kl_divergence

from scalian_exp.losses.elbo import ELBO, Bernoulli, Gaussian
from scalian_exp.networks.vae import VAE, DenseVAE
from scalian_exp.tasks.variational import Variational


def task_for(network: VAE) -> Variational:
    return Variational(network, ELBO(LinearLikelihood()), torch.optim.Adam)


@torch.no_grad()
def test_with_the_exact_posterior_every_bound_equals_the_likelihood() -> None:
    network, x = linear_gaussian(exact=True)
    expected = log_evidence(network, x)
    for samples in (1, 7):
        torch.testing.assert_close(task_for(network).log_likelihood_bound(x, samples), expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_one_sample_bound_is_the_elbo_in_expectation_and_more_samples_are_tighter() -> None:
    network, x = linear_gaussian(exact=False)
    task, draws = task_for(network), 4000
    many = x.repeat(draws, 1, 1, 1)
    logits, kl = network(many)
    terms = task.loss(logits, kl, many, 0)
    elbo = -float(terms.reconstruction + terms.kl)
    means = {k: float(task.log_likelihood_bound(many, k).mean()) for k in (1, 5, 50)}
    assert means[1] == pytest.approx(elbo, abs=0.03)
    exact = float(log_evidence(network, x).mean())
    assert means[1] + 0.05 < means[5] < means[50] <= exact + 0.01
    assert means[50] == pytest.approx(exact, abs=0.02)


@torch.no_grad()
def test_the_bound_does_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = linear_gaussian(exact=False)
    results = []
    for chunk in (10**9, 24 * 3, 1):  # all at once, three samples, one
        monkeypatch.setattr("scalian_exp.metrics.importance_sampling.CHUNK", chunk)
        torch.manual_seed(1)
        results.append(task_for(network).log_likelihood_bound(x, 2000))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0.1)
    torch.testing.assert_close(results[0], results[2], rtol=0, atol=0.1)


@torch.no_grad()
def test_the_kl_equals_torchs() -> None:
    network = DenseVAE(1, [4, 4], [8], 3)
    x = torch.rand(5, 1, 4, 4)
    mean, log_variance = network.posterior(x)
    expected = kl_divergence(Normal(mean, torch.exp(log_variance / 2)), Normal(0.0, 1.0))
    torch.testing.assert_close(network(x)[1], expected)


@torch.no_grad()
def test_the_importance_ratio_is_the_ratio_of_the_densities() -> None:
    network, x = linear_gaussian(exact=False)
    torch.manual_seed(3)
    _, log_ratio = network.importance(x, 4)
    torch.manual_seed(3)
    mean, log_variance = network.posterior(x)
    posterior = Normal(mean, torch.exp(log_variance / 2))
    z = mean + torch.exp(log_variance / 2) * torch.randn(4, *mean.shape)
    expected = (Normal(0.0, 1.0).log_prob(z) - posterior.log_prob(z)).sum(-1)
    torch.testing.assert_close(log_ratio, expected)


def test_likelihoods_equal_torchs() -> None:
    logits, x = 5 * torch.randn(3, 2, 1, 4, 4), torch.randint(2, (2, 1, 4, 4)).float()
    torch.testing.assert_close(Bernoulli()(logits, x), TorchBernoulli(logits=logits).log_prob(x).sum((-3, -2, -1)))
    expected = Normal(torch.sigmoid(logits), 0.3).log_prob(x).sum((-3, -2, -1))
    torch.testing.assert_close(Gaussian(0.3)(logits, x), expected)


def test_beta_multiplies_only_the_kl() -> None:
    logits, kl, x = torch.zeros(2, 1, 2, 2), torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.ones(2, 1, 2, 2)
    terms = ELBO(Bernoulli(), beta=4.0)(logits, kl, x, 0)
    assert float(terms.reconstruction) == pytest.approx(4 * math.log(2))  # four pixels at probability 1/2
    assert float(terms.kl) == pytest.approx(3.0)
    assert float(terms.loss) == pytest.approx(4 * math.log(2) + 12.0)


def test_warm_up_is_linear_and_ends_at_beta() -> None:
    assert [ELBO(Bernoulli(), 2.0, warmup_epochs=3).beta_at(epoch) for epoch in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert ELBO(Bernoulli(), 2.0).beta_at(0) == 2.0


def test_free_bits_hold_the_kl_of_each_latent_up_and_only_in_the_loss() -> None:
    logits, x = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    kl = torch.tensor([[0.1, 2.0, 0.6], [0.3, 0.0, 0.8]], requires_grad=True)  # means over the batch: 0.2, 1, 0.7
    terms = ELBO(Bernoulli(), beta=3.0, free_bits=0.7)(logits, kl, x, 0)
    assert terms.loss.item() == pytest.approx(4 * math.log(2) + 3 * (0.7 + 1 + 0.7))
    assert terms.kl.item() == pytest.approx(0.2 + 1 + 0.7)
    assert terms.kl_of_latents is not None
    assert terms.kl_of_latents.tolist() == pytest.approx([0.2, 1.0, 0.7])
    terms.loss.backward()
    assert kl.grad is not None
    assert kl.grad[:, :2].tolist() == [[0, 1.5], [0, 1.5]]  # nothing to gain below λ, β/B above


def test_without_free_bits_the_loss_is_the_elbos_to_the_bit() -> None:
    logits, kl, x = torch.randn(9, 1, 2, 2), torch.rand(9, 5), torch.rand(9, 1, 2, 2)
    terms = ELBO(Bernoulli())(logits, kl, x)
    assert torch.equal(terms.loss, terms.reconstruction + terms.kl)

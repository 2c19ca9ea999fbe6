"""RBMs against sums over all states."""

import math

import pytest
import torch
from small_networks import all_states, arbitrary_rbm
from torch import Tensor

from scalian_exp.distributed.noise import bernoulli
from scalian_exp.losses.contrastive_divergence import ContrastiveDivergence, PersistentCD, Sparsity
from scalian_exp.metrics.ais import exact_log_partition
from scalian_exp.metrics.pseudo_likelihood import pseudo_likelihood
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Bernoulli, Gaussian


def test_an_uncentred_rbm_gives_loaded_centred_weights_the_same_distribution() -> None:
    centred, plain = arbitrary_rbm(), arbitrary_rbm(centred=False)
    plain.load_state_dict(centred.state_dict())
    expected = torch.logsumexp(log_joint(centred), 1)
    result = -plain.free_energy(all_states(4)) - exact_log_partition(plain).value
    torch.testing.assert_close(result.float(), expected)


def energy(rbm: RBM, v: Tensor, h: Tensor) -> Tensor:
    """Compute the energy as the class's docstring defines it, for one pair of states."""
    a, d = v - rbm.visible_offset, h - rbm.hidden_offset
    return -(rbm.visible_bias @ a + rbm.hidden_bias @ d + d @ rbm.weight @ a)


def log_joint(rbm: RBM) -> Tensor:
    """Return log p(v, h), (2^visible, 2^hidden)."""
    vs, hs = all_states(len(rbm.visible_bias)), all_states(len(rbm.hidden_bias))
    energies = torch.stack([torch.stack([energy(rbm, v, h) for h in hs]) for v in vs]).detach()
    return torch.log_softmax(-energies.flatten(), 0).view_as(energies)


def test_free_energy_and_partition_function_give_the_probabilities() -> None:
    rbm = arbitrary_rbm()
    log_z = exact_log_partition(rbm).value
    expected = torch.logsumexp(log_joint(rbm), 1)
    torch.testing.assert_close((-rbm.free_energy(all_states(4)) - log_z).float(), expected)


def test_conditionals_agree_with_the_joint_distribution() -> None:
    rbm = arbitrary_rbm()
    joint = log_joint(rbm).exp()
    vs, hs = all_states(4), all_states(3)
    torch.testing.assert_close(rbm.hidden.mean(rbm.hidden_input(vs)), joint @ hs / joint.sum(1, keepdim=True))
    torch.testing.assert_close(rbm.visible.mean(rbm.visible_input(hs)), joint.T @ vs / joint.sum(0).unsqueeze(1))


def test_the_plain_and_the_recentred_rbm_have_the_same_distribution() -> None:
    rbm = arbitrary_rbm()
    before = log_joint(rbm)
    torch.testing.assert_close(log_joint(rbm.uncentred()), before, rtol=1e-4, atol=1e-5)
    offset = rbm.hidden_offset.clone()
    rbm.recentre(torch.rand(5, 4).round(), rate=0.5)
    assert not torch.allclose(rbm.hidden_offset, offset)
    torch.testing.assert_close(log_joint(rbm), before, rtol=1e-4, atol=1e-5)


def test_gibbs_sampling_preserves_the_distribution() -> None:
    rbm, vs = arbitrary_rbm(), all_states(4)
    p = log_joint(rbm).exp().sum(1)
    start = vs[torch.multinomial(p, 40_000, replacement=True)]
    end = rbm.gibbs(start, 3)
    shares = (end.unsqueeze(1) == vs).all(2).float().mean(0)
    torch.testing.assert_close(shares, p, rtol=0, atol=0.012)  # five standard deviations of a share near ½
    assert not torch.equal(start, end)


@pytest.mark.parametrize("centred", [False, True])
def test_the_gradient_of_cd_is_data_minus_reconstruction(centred: bool) -> None:
    rbm = arbitrary_rbm(centred=centred)
    v = torch.rand(6, 4).round()
    torch.manual_seed(3)
    ContrastiveDivergence(k=1)(rbm, v).loss.backward()
    torch.manual_seed(3)  # the same hidden states
    with torch.no_grad():
        a = v - rbm.visible_offset
        data = torch.sigmoid(a @ rbm.weight.T + rbm.hidden_bias)
        h = bernoulli(data)
        again = torch.sigmoid((h - rbm.hidden_offset) @ rbm.weight + rbm.visible_bias)
        model = torch.sigmoid((again - rbm.visible_offset) @ rbm.weight.T + rbm.hidden_bias)
        positive = (data - rbm.hidden_offset).T @ a
        negative = (model - rbm.hidden_offset).T @ (again - rbm.visible_offset)
    torch.testing.assert_close(rbm.weight.grad, (negative - positive) / 6)
    torch.testing.assert_close(rbm.visible_bias.grad, (again - v).mean(0))
    torch.testing.assert_close(rbm.hidden_bias.grad, (model - data).mean(0))


def test_with_long_chains_the_gradient_is_that_of_the_likelihood() -> None:
    rbm, data = arbitrary_rbm(), torch.bernoulli(torch.tensor([0.1, 0.9, 0.5, 0.3]).expand(20_000, 4))
    loss = PersistentCD(k=100, chains=20_000)
    loss.attach([rbm])
    loss(rbm, data).loss.backward()
    estimated = rbm.weight.grad
    twin = arbitrary_rbm()
    twin.load_state_dict(rbm.state_dict())
    vs, hs = all_states(4), all_states(3)
    negative_energy = torch.stack([torch.stack([-energy(twin, v, h) for h in hs]) for v in vs])
    (-twin.free_energy(data).mean() - torch.logsumexp(negative_energy.flatten(), 0)).neg().backward()
    torch.testing.assert_close(estimated, twin.weight.grad, rtol=0, atol=0.015)
    rbm.zero_grad()
    ContrastiveDivergence(k=1)(rbm, data).loss.backward()
    assert (rbm.weight.grad - twin.weight.grad).abs().max() > 0.03  # unlike after one step from the data


def test_persistent_chains_continue_and_belong_to_the_state() -> None:
    rbm, loss = arbitrary_rbm(), PersistentCD(chains=5)
    loss.attach([rbm])
    assert loss.state_dict()["hidden_0"].shape == (5, 3)
    v = torch.rand(6, 4).round()
    loss(rbm, v)
    first = loss.state_dict()["hidden_0"].clone()
    torch.manual_seed(1)
    loss(rbm, v)
    torch.manual_seed(1)
    expected = rbm.hidden_sample(rbm.visible_sample(first))
    torch.testing.assert_close(loss.state_dict()["hidden_0"], expected)


def test_k_grows_with_progress_and_sparsity_is_a_cross_entropy() -> None:
    loss = ContrastiveDivergence(k=1, k_end=9)
    assert [loss.steps(progress) for progress in (0.0, 0.5, 1.0)] == [1, 5, 9]
    share = 0.25
    by_hand = -3 * (0.1 * math.log(share) + 0.9 * math.log(1 - share))
    assert float(Sparsity(0.1, 3.0)(torch.full((4, 1), share))) == pytest.approx(by_hand)


def test_the_partition_function_of_gaussian_units_is_an_integral() -> None:
    rbm = RBM(3, 4, Gaussian(), Bernoulli())
    with torch.no_grad():
        rbm.weight.copy_(0.7 * torch.randn(4, 3))
        rbm.visible_bias.copy_(torch.randn(3))
    grid = torch.cartesian_prod(*[torch.linspace(-9, 9, 61)] * 3).double()
    total = torch.logsumexp(-rbm.double().free_energy(grid), 0) + 3 * math.log(0.3)
    torch.testing.assert_close(exact_log_partition(rbm).value, total, rtol=1e-4, atol=1e-4)


def test_pseudo_likelihood_is_the_mean_of_the_conditionals() -> None:
    rbm, vs = arbitrary_rbm(), all_states(4)
    p = log_joint(rbm).exp().sum(1)
    v = vs[5]
    exact = 0.0
    for unit in range(4):
        other = v.clone()
        other[unit] = 1 - other[unit]
        mine, its = p[5], p[(vs == other).all(1)][0]
        exact += math.log(mine / (mine + its))
    torch.testing.assert_close(
        pseudo_likelihood(rbm, v.expand(20_000, 4)).mean(), torch.tensor(exact), rtol=0.03, atol=0
    )

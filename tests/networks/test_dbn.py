"""Deep belief networks against sums over all states."""

import torch
from small_networks import all_states, arbitrary_rbm, count
from torch import Tensor

from scalian_exp.metrics.ais import exact_log_partition
from scalian_exp.networks.dbn import DeepBeliefNetwork
from scalian_exp.networks.dbn_labels import LabelledDBN


def stack(*hidden: int) -> DeepBeliefNetwork:
    network = DeepBeliefNetwork(1, [2, 2], hidden)
    for rbm in network.rbms:
        for parameter in rbm.parameters():
            torch.nn.init.normal_(parameter)
    return network


def test_parameter_counts() -> None:
    assert count(DeepBeliefNetwork(1, [28, 28], [500])) == 393_284
    assert count(DeepBeliefNetwork(1, [28, 28], [500, 500, 2000])) == 393_284 + 251_000 + 1_002_500


def exact_log_likelihood(network: DeepBeliefNetwork) -> Tensor:
    """Return log Σ_h p(v|h) p(h) of two layers, for all states of four pixels."""
    first, top = network.rbms
    hs, vs = all_states(len(first.hidden_bias)), all_states(4)
    prior = -top.free_energy(hs) - exact_log_partition(top).value
    x = first.visible_input(hs)
    given = vs @ x.T - first.visible.cumulant(x)
    return torch.logsumexp(given + prior, 1).float()


def test_the_bound_of_a_stack_is_below_its_likelihood() -> None:
    network, images = stack(3, 2), all_states(4).view(-1, 1, 2, 2)
    log_z = exact_log_partition(network.rbms[-1]).value
    bounds = torch.stack([network.log_likelihood_bound(images, log_z) for _ in range(2000)]).mean(0).float()
    exact = exact_log_likelihood(network)
    assert (bounds < exact + 0.05).all()
    assert (exact - bounds).max() > 0.1  # unless the weights match, there is a gap


def test_with_tied_weights_every_draw_gives_the_exact_likelihood() -> None:
    """Hinton et al. 2006, section 4: a second RBM initialised as the first one upside down changes nothing."""
    network, images = stack(3, 4), all_states(4).view(-1, 1, 2, 2)
    first, second = network.rbms
    with torch.no_grad():
        second.weight.copy_(first.weight.T)
        second.visible_bias.copy_(first.hidden_bias)
        second.hidden_bias.copy_(first.visible_bias)
    bound = network.log_likelihood_bound(images, exact_log_partition(second).value).float()
    alone = (-first.free_energy(all_states(4)) - exact_log_partition(first).value).float()
    torch.testing.assert_close(bound, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(exact_log_likelihood(network), alone, rtol=1e-4, atol=1e-4)


def test_samples_of_a_stack_follow_its_distribution() -> None:
    network = stack(3, 2)
    for rbm in network.rbms:
        rbm.visible_mean.fill_(0.5)
    means = network.sample(20_000, steps=20).flatten(1)  # means of p(v|h) for sampled h
    expected = exact_log_likelihood(network).exp() @ all_states(4)
    torch.testing.assert_close(means.mean(0), expected, rtol=0, atol=0.03)


def test_completion_keeps_known_pixels_and_gives_the_conditional_mean() -> None:
    network = DeepBeliefNetwork(1, [2, 2], [3])
    with torch.no_grad():
        network.rbms[0].load_state_dict(arbitrary_rbm(centred=False).state_dict())
    rbm = network.rbms[0]
    p, vs = torch.exp(-rbm.free_energy(all_states(4))), all_states(4)
    known = torch.tensor([[True, True], [False, False]])
    image = torch.tensor([[[[1.0, 0.0], [0.3, 0.3]]]])
    agree = (vs[:, 0] == 1) & (vs[:, 1] == 0)
    expected = (p[agree] @ vs[agree]) / p[agree].sum()
    completed = network.complete(image.expand(2000, 1, 2, 2), known, steps=60)
    assert torch.equal(completed[0, 0, 0], image[0, 0, 0])
    torch.testing.assert_close(completed.flatten(1).mean(0), expected, rtol=0, atol=0.06)


def test_completion_samples_unknown_labels() -> None:
    network = LabelledDBN(1, [2, 2], [3], num_classes=2)
    top = network.rbms[-1]
    with torch.no_grad():
        for parameter in top.parameters():
            parameter.normal_(std=1.5)
        top.visible_mean.fill_(0.5)
    vs = all_states(4)
    p = network.free_energies(vs).neg().exp().sum(1)
    known = torch.tensor([[True, True], [False, False]])
    agree = (vs[:, 0] == 1) & (vs[:, 1] == 0)
    expected = (p[agree] @ vs[agree]) / p[agree].sum()
    image = torch.tensor([[[[1.0, 0.0], [0.3, 0.3]]]])
    completed = network.complete(image.expand(3000, 1, 2, 2), known, steps=60)
    torch.testing.assert_close(completed.flatten(1).mean(0), expected, rtol=0, atol=0.03)


def test_denoising_gives_the_mean_given_noisy_pixels() -> None:
    network = DeepBeliefNetwork(1, [2, 2], [3])
    with torch.no_grad():
        network.rbms[0].load_state_dict(arbitrary_rbm(centred=False).state_dict())
    vs, flipped = all_states(4), 0.2
    prior = torch.exp(-network.rbms[0].free_energy(vs))
    noisy = torch.tensor([1.0, 0.0, 0.0, 1.0])
    given = torch.where(vs == noisy, 1 - flipped, flipped).prod(1)
    expected = (prior * given) @ vs / (prior * given).sum()
    denoised = network.denoise(noisy.view(1, 1, 2, 2).expand(3000, 1, 2, 2), flipped, steps=40)
    torch.testing.assert_close(denoised.flatten(1).mean(0), expected, rtol=0, atol=0.03)


def test_filters_of_deeper_layers_are_projected_through_the_layers_below() -> None:
    network = stack(3, 2)
    lower, upper = network.rbms
    by_hand = torch.stack([sum(upper.weight[j, k] * lower.weight[k] for k in range(3)) for j in range(2)])  # type: ignore[misc]
    torch.testing.assert_close(network.filters(1).flatten(1), by_hand)

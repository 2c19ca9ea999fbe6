"""Annealed importance sampling against sums over all states, and its interval against many repetitions."""

import math
from functools import cache

import pytest
import torch
from small_networks import all_states, arbitrary_rbm
from torch import Tensor

from scalian_exp.losses.contrastive_divergence import ContrastiveDivergence, PersistentCD
from scalian_exp.metrics.ais import AnnealedImportanceSampling, LogPartition, anneal, exact_log_partition, log_mean
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Bernoulli, Gaussian


@pytest.mark.parametrize("centred", [False, True])
def test_the_partition_function_is_estimated(centred: bool) -> None:
    rbm = arbitrary_rbm(30, 12, 0.6, centred=centred)
    estimate = AnnealedImportanceSampling(runs=100, steps=(100, 200, 300), gibbs_steps=100)(
        rbm, torch.rand(9, 30).round()
    )
    exact = float(exact_log_partition(rbm).value)
    assert abs(float(estimate.value) - exact) < 0.5
    assert abs(float(estimate.reverse) - exact) < 0.5
    assert float(estimate.low) < exact < float(estimate.high)
    assert 30 < float(estimate.effective_runs) <= 100
    assert bool(estimate.reliable)


def test_the_partition_function_of_gaussian_units_is_estimated() -> None:
    rbm = RBM(3, 4, Gaussian(), Bernoulli())
    with torch.no_grad():
        rbm.weight.copy_(0.7 * torch.randn(4, 3))
        rbm.visible_bias.copy_(torch.randn(3))
        rbm.visible_mean.zero_()
    estimate = AnnealedImportanceSampling(runs=200, steps=(50, 50, 50))(rbm, torch.randn(200, 3))
    exact = float(exact_log_partition(rbm).value)
    assert float(estimate.low) < exact < float(estimate.high)
    assert abs(float(estimate.reverse) - exact) < 0.3


def test_both_directions_are_unbiased_and_their_logarithms_biased_in_opposite_directions() -> None:
    """Forward estimates of Z are unbiased, and so are reverse estimates of 1/Z if they start at exact samples."""
    runs = 100_000
    rbm, states = arbitrary_rbm(4, 3, 1.5, centred=False), all_states(4)
    rates = rbm.visible.bias(rbm.visible_mean)
    log_ratio = float(exact_log_partition(rbm).value - rbm.visible.cumulant(rates) - 3 * math.log(2))
    betas = [0.0, 0.3, 0.7, 1.0]
    forward = anneal(rbm, rbm.visible.sample(rates.expand(runs, -1)), betas)
    samples = states[torch.multinomial(torch.softmax(-rbm.free_energy(states), 0), runs, replacement=True)]
    reverse = anneal(rbm, samples, betas[::-1])
    for weights, expected in ((forward.exp(), math.exp(log_ratio)), (reverse.exp(), math.exp(-log_ratio))):
        assert abs(float(weights.mean()) - expected) < 4 * float(weights.std()) / math.sqrt(runs)
    of_four = [(torch.logsumexp(w.view(-1, 4), 1) - math.log(4)).mean() for w in (forward, reverse)]
    assert float(of_four[0]) + 0.02 < log_ratio < -float(of_four[1]) - 0.02


def test_the_interval_is_salakhutdinov_and_murrays_made_symmetric_by_its_longer_arm() -> None:
    weights = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0, 3.0, 2.0, 2.0], dtype=torch.float64)
    interval = log_mean(weights.log())
    error = math.sqrt(4 / 7) / math.sqrt(8)  # the mean is 2
    assert float(interval.value) == pytest.approx(math.log(2))
    assert float(interval.value - interval.arm) == pytest.approx(math.log(2 - 3 * error))
    assert float(interval.value + interval.arm) > math.log(2 + 3 * error)
    assert float(interval.effective) == pytest.approx(16**2 / 36)
    assert float(log_mean(torch.zeros(5)).arm) == 0
    assert math.isinf(float(log_mean(torch.tensor([0.0, 0.0, 9.0])).arm))
    assert float(log_mean(torch.tensor([-2000.0, -2000.0])).value) == -2000


@cache
def trained(kind: str, visible: int = 40) -> tuple[RBM, Tensor]:
    """Return an RBM with 20 hidden units, trained or not, and its data: noisy copies of eight patterns."""
    torch.manual_seed(0)
    patterns = (torch.rand(8, visible) < 0.4).float()
    data = patterns[torch.randint(8, (2000,))]
    data = torch.where(torch.rand(data.shape) < 0.08, 1 - data, data)
    rbm = RBM(visible, 20, Bernoulli(), Bernoulli())
    rbm.start_from(data.mean(0))
    if kind == "untrained":
        torch.nn.init.normal_(rbm.weight, std=0.3)
        return rbm, data
    loss = ContrastiveDivergence(k=1) if kind == "cd" else PersistentCD(k=1, chains=100)
    loss.attach([rbm])
    optimizer = torch.optim.SGD(rbm.parameters(), lr=0.2)
    for _ in range(30):
        for batch in data[torch.randperm(len(data))].split(100):
            optimizer.zero_grad()
            loss(rbm, batch).loss.backward()
            optimizer.step()
    return rbm, data


@cache
def exact_value(kind: str) -> float:
    """Return log Z of an RBM, which its base rates don't change."""
    return float(exact_log_partition(trained(kind)[0]).value)


def estimates(kind: str, half: bool, steps: tuple[int, int, int], seeds: int) -> list[LogPartition]:
    """Return estimates of log Z with some seeds, whose base rates are the data's means or 1/2."""
    rbm, data = trained(kind)
    rbm.visible_mean.copy_(torch.full_like(rbm.visible_mean, 0.5) if half else data.mean(0))
    estimate = AnnealedImportanceSampling(runs=100, steps=steps, gibbs_steps=20)
    results = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        results.append(estimate(rbm, data[torch.randperm(len(data))[:100]]))
    return results


def by_chance(cases: int) -> int:
    """Return how many intervals of three standard deviations may miss the truth; one test in 1,000 exceeds it."""
    rate, missed, tail = 0.0027, 0, 1.0
    while tail > 1e-3:
        tail -= math.comb(cases, missed) * rate**missed * (1 - rate) ** (cases - missed)
        missed += 1
    return missed - 1


def check_calibration(steps: tuple[int, int, int], least: dict[str, int], seeds: int) -> None:
    """Check that intervals of reliable estimates cover log Z as often as three standard deviations do."""
    reliable_misses = misses = reliable = cases = 0
    for kind, required in least.items():
        of_kind = 0
        for half in (False, True):
            exact, results = exact_value(kind), estimates(kind, half, steps, seeds)
            missed = [not float(each.low) <= exact <= float(each.high) for each in results]
            of_kind += sum(bool(each.reliable) for each in results)
            reliable_misses += sum(miss and bool(each.reliable) for miss, each in zip(missed, results, strict=True))
            misses, cases = misses + sum(missed), cases + len(results)
        assert of_kind >= required, f"{kind}: {of_kind} of {2 * seeds} are reliable"
        reliable += of_kind
    assert reliable_misses <= by_chance(reliable)
    assert misses <= cases // 10  # the unreliable ones are rough, but not meaningless


def test_intervals_cover_the_truth_at_their_stated_rate() -> None:
    check_calibration((10, 20, 30), {"untrained": 13, "cd": 1, "pcd": 0}, seeds=8)


@pytest.mark.slow
def test_intervals_with_more_temperatures_cover_the_truth_at_their_stated_rate() -> None:
    check_calibration((30, 60, 90), {"untrained": 40, "cd": 30, "pcd": 30}, seeds=24)


def test_a_rough_estimate_is_unreliable_and_the_truth_lies_between_the_two_directions() -> None:
    """With few temperatures, large weights and base rates of 1/2, log Z is underestimated by several nats."""
    misses, between = [], 0
    for seed in range(4):
        torch.manual_seed(seed)
        rbm = arbitrary_rbm(60, 12, 2.5, centred=False)
        rbm.visible_mean.fill_(0.5)
        estimate = AnnealedImportanceSampling(steps=(5, 10, 15), gibbs_steps=50)(rbm, torch.rand(100, 60).round())
        exact = float(exact_log_partition(rbm).value)
        assert not bool(estimate.reliable)
        assert float(estimate.low) < exact < float(estimate.high)
        between += float(estimate.value) < exact < float(estimate.reverse)
        misses.append(exact - float(estimate.value))
    assert between >= 3  # one seed in ten fails by chance
    assert max(misses) > 3


def two_modes() -> RBM:
    """Return an RBM whose units are all off, as under the base rates, or all on, which is 20 times as probable."""
    size, weight = 20, 6.0
    rbm = RBM(size, 1, Bernoulli(), Bernoulli())
    with torch.no_grad():
        rbm.weight.fill_(weight)
        rbm.visible_bias.fill_(-weight / 2)
        rbm.hidden_bias.fill_(3 - size * weight / 2)
    rbm.visible_mean.fill_(0.2)
    return rbm


def test_reverse_runs_find_the_mode_that_the_forward_runs_missed() -> None:
    rbm, estimate = two_modes(), AnnealedImportanceSampling(steps=(5, 10, 15), gibbs_steps=50)
    exact = float(exact_log_partition(rbm).value)
    alone = estimate(rbm)
    assert float(alone.value) < exact - 1
    assert float(alone.effective_runs) > 30  # all runs are in the same mode, so they agree
    assert bool(alone.reliable)
    both = estimate(rbm, torch.ones(100, 20))
    assert float(both.value) < exact < float(both.reverse)
    assert float(both.low) < exact < float(both.high)
    assert not bool(both.reliable)


def test_chains_stuck_in_one_mode_do_not_spoil_the_forward_estimate() -> None:
    """Reverse runs from a mode of little weight underestimate log Z; the forward runs are better."""
    rbm = two_modes()
    rbm.visible_mean.fill_(0.5)
    estimate = AnnealedImportanceSampling(steps=(100, 200, 300), gibbs_steps=50)(rbm, torch.zeros(100, 20))
    assert float(estimate.low) < float(exact_log_partition(rbm).value) < float(estimate.high)

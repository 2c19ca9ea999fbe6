"""Types that keep precision, on devices with and without double precision."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from precisions import default_type, without_double
from small_networks import arbitrary_rbm
from tools import tiny
from torch import Tensor, nn

from scalian_exp.figures import latent
from scalian_exp.losses.elbo import Bernoulli, Gaussian
from scalian_exp.losses.multinomial import Multinomial
from scalian_exp.metrics import recommendation
from scalian_exp.metrics.ais import AnnealedImportanceSampling, exact_log_partition
from scalian_exp.metrics.segmentation import scores
from scalian_exp.networks import units
from scalian_exp.networks.matrix_factorisation import MatrixFactorisation, principal_axes
from scalian_exp.networks.rating_rbm import RatingRBM
from scalian_exp.networks.ratings import Popularity, RatingBias
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Units, log_probability
from scalian_exp.precision import at_least_single, widened, widest
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


def test_halves_and_integers_become_single_and_doubles_stay() -> None:
    types = (torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64)
    with default_type(torch.bfloat16):
        wide = [at_least_single(torch.ones(2, dtype=dtype)).dtype for dtype in types]
    assert wide == [torch.float32, torch.float32, torch.float32, torch.float64, torch.float32]


def test_apples_gpus_have_no_double_precision() -> None:
    assert widest(torch.device("mps", 0)) == torch.float32
    assert widest(torch.device("cuda", 1)) == widest(torch.device("cpu")) == torch.float64


def test_a_device_without_double_precision_is_imitated() -> None:
    assert widened(torch.ones(2, dtype=torch.long)).dtype == torch.float64
    with without_double():
        assert widened(torch.ones(2, dtype=torch.long)).dtype == torch.float32
        with pytest.raises(TypeError, match="no double precision here"):
            torch.ones(2).double()
        with pytest.raises(TypeError, match="no double precision here"):
            torch.zeros((), dtype=torch.float64)


def segmentation(*_: Any) -> Tensor:
    """Compute the scores of a confusion matrix."""
    return torch.stack([*scores(torch.tensor([[50, 3, 1], [2, 40, 0], [5, 6, 70]])).values()])


def recommendations(*_: Any) -> Tensor:
    """Compute NDCG and recall of four users' best items."""
    best = torch.tensor([[0, 1, 2], [4, 3, 2], [1, 0, 4], [2, 4, 0]])
    relevant = torch.tensor([[1, 0, 1, 0, 1], [0, 0, 1, 0, 0], [1, 1, 0, 1, 0], [0, 1, 0, 0, 0]], dtype=torch.bool)
    return torch.stack([recommendation.ndcg(best, relevant), recommendation.recall(best, relevant)])


def ratings(*networks: nn.Module) -> Tensor:
    """Start networks from ratings, and return all that they have learned."""
    columns, values = torch.arange(60) % 5, torch.arange(60) % 7 / 2 + 1
    for network in networks:
        network.start_from(columns, values)
    return torch.cat([buffer.flatten() for network in networks for buffer in network.buffers()])


def axes(factors: Tensor) -> Tensor:
    """Return the principal axes of a table of factors, whose signs are arbitrary, and of points for a figure."""
    return torch.cat([principal_axes(factors).abs(), latent.principal_axes(factors)])


def exact(rbm: RBM) -> Tensor:
    """Compute log Z by summing over all states."""
    return exact_log_partition(rbm).value


def annealed(rbm: RBM) -> Tensor:
    """Estimate log Z from both sides, with the same random numbers each time."""
    torch.manual_seed(0)
    estimate = AnnealedImportanceSampling(runs=50, steps=(20, 20, 20), gibbs_steps=5)(rbm, torch.zeros(9, 6))
    return torch.stack([estimate.value, estimate.low, estimate.high, estimate.reverse])


RATED = RatingBias(5), Popularity(5, 3.0), MatrixFactorisation(5, 2)
COMPUTED = [
    (segmentation, ()), (recommendations, ()), (ratings, RATED), (axes, (torch.randn(30, 4),)),
    (exact, (arbitrary_rbm(6, 4),)), (annealed, (arbitrary_rbm(6, 4),)),
]  # fmt: skip


@pytest.mark.parametrize(("compute", "given"), COMPUTED, ids=lambda value: getattr(value, "__name__", ""))
def test_results_need_no_double_precision(compute: Callable[..., Tensor], given: tuple[Any, ...]) -> None:
    usual = compute(*given)
    with without_double():
        results = compute(*given)
    torch.testing.assert_close(results, usual.float(), rtol=1e-3, atol=1e-3)


def test_a_training_in_double_precision_is_refused_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalian_exp.run.trainer.widest", lambda _: torch.float32)
    with pytest.raises(Refusal, match=r"64-true: Apple's GPUs have no double precision; use trainer/accelerator=cpu"):
        train(tiny("vae", "trainer.precision=64-true"), tmp_path / "run")


PIXELS = torch.rand(3, 2, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3)])
def test_likelihoods_of_logits_of_16_bits_are_sums_of_32(likelihood: nn.Module) -> None:
    logits, x = (8 * PIXELS - 4).bfloat16(), PIXELS[0].round().bfloat16()
    torch.testing.assert_close(
        likelihood(logits, x).double(), likelihood(logits.double(), x.double()), rtol=1e-5, atol=1e-3
    )


@pytest.mark.parametrize("kind", [units.Bernoulli(), units.Gaussian(), units.Softmax(4)])
def test_log_probabilities_of_units_of_16_bits_are_sums_of_32(kind: Units) -> None:
    x, states = (6 * PIXELS - 3).flatten(1).bfloat16(), PIXELS.flatten(1).round().bfloat16()
    wanted = log_probability(kind, x.double(), states.double())
    torch.testing.assert_close(log_probability(kind, x, states).double(), wanted, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("mixed", [False, True])
def test_free_energies_in_16_bits_are_off_by_no_more_than_their_inputs(mixed: bool) -> None:
    rbm, v = arbitrary_rbm(784, 12, centred=True), PIXELS.flatten(2)[:, 0].round()
    with torch.no_grad():
        rbm.weight *= 0.05
        rbm.visible_bias += 2  # free energies of several hundred nats
        rbm.bfloat16()
        wanted = copy.deepcopy(rbm).double().free_energy(v.double())
        if mixed:
            rbm.float()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            energies = rbm.free_energy(v if mixed else v.bfloat16())
    assert wanted.abs().min() > 256
    torch.testing.assert_close(energies.double(), wanted, rtol=0, atol=0.4)


def test_log_z_of_a_machine_in_16_bits_is_that_of_its_weights() -> None:
    rbm = arbitrary_rbm(40, 12, 0.5).bfloat16()
    wanted = exact_log_partition(copy.deepcopy(rbm).double()).value
    torch.testing.assert_close(exact_log_partition(rbm).value, wanted, rtol=0, atol=1e-3)
    with default_type(torch.bfloat16):  # as in a step of bf16-true
        estimate = AnnealedImportanceSampling(runs=200, steps=(100, 100, 100))(rbm)
    assert rbm.uncentred().weight.dtype == torch.float32
    assert float(estimate.low) < float(wanted) < float(estimate.high)
    assert abs(float(estimate.value - wanted)) < 0.3


def test_likelihoods_of_words_and_ratings_in_16_bits_are_sums_of_32() -> None:
    logits, words = (8 * PIXELS[:2, 0] - 4).flatten(1).bfloat16(), PIXELS[1:, 0].flatten(1).bfloat16()
    wanted = Multinomial()(logits.double(), words.double())
    torch.testing.assert_close(Multinomial()(logits, words).double(), wanted, rtol=1e-3, atol=0)
    network, ratings = RatingRBM(200, [1, 2, 3, 4, 5], 8).bfloat16(), torch.randint(6, (20, 200)).bfloat16()
    with torch.no_grad():
        exact = copy.deepcopy(network).double().log_probability(ratings.double(), ratings.double())
        torch.testing.assert_close(network.log_probability(ratings, ratings).double(), exact, rtol=0, atol=0.25)

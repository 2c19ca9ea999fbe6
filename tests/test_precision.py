"""Types that keep precision, on devices with and without double precision."""

import copy

import pytest
import torch
from precisions import default_type, without_double
from small_networks import arbitrary_rbm
from torch import Tensor, nn

from scalian_exp.losses.elbo import Bernoulli, Gaussian
from scalian_exp.metrics.ais import AnnealedImportanceSampling, exact_log_partition
from scalian_exp.networks import units
from scalian_exp.networks.units import Units, log_probability
from scalian_exp.precision import at_least_single, widened, widest


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

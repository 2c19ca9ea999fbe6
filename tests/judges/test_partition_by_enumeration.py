"""Estimates of log Z against its sum over all hidden states, of machines that scikit-learn has trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM
from verdicts import Judge

from scalian_exp.metrics.ais import AnnealedImportanceSampling, exact_log_partition
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.units import Bernoulli

HIDDEN = 14
KNOWN = 215.138406
"""log Z of pylearn2's RBM of 20 hidden units, in pylearn2/rbm_tools/tests/test_ais.py"""


def digits() -> np.ndarray:
    """Return scikit-learn's digits in black and white, (1797, 64)."""
    return (load_digits().data > 7.5).astype(np.float64)


def enumerated(weight: np.ndarray, visible: np.ndarray, hidden: np.ndarray) -> float:
    """Sum over all states of the hidden units in NumPy; `weight` is (hidden, visible)."""
    parts = []
    for numbers in np.array_split(np.arange(2 ** len(hidden)), 256):
        states = (numbers[:, None] >> np.arange(len(hidden)) & 1).astype(np.float64)
        parts.append(np.logaddexp.reduce(states @ hidden + np.logaddexp(0, states @ weight + visible).sum(1)))
    return float(np.logaddexp.reduce(parts))


def machine(weight: np.ndarray, visible: np.ndarray, hidden: np.ndarray, mean: np.ndarray) -> RBM:
    """Return an RBM of this package with these parameters, and a base-rate model of this mean."""
    rbm = RBM(len(visible), len(hidden), Bernoulli(), Bernoulli(), centred=False)
    with torch.no_grad():
        rbm.weight.copy_(torch.from_numpy(weight))
        rbm.visible_bias.copy_(torch.from_numpy(visible))
        rbm.hidden_bias.copy_(torch.from_numpy(hidden))
        rbm.visible_mean.copy_(torch.from_numpy(mean))
    return rbm


@pytest.mark.parametrize("epochs", [1, 8, 40])
def test_estimates_bracket_the_sum_over_all_states(judge: Judge, epochs: int) -> None:
    """Forward estimates are too low on average and reverse ones too high: the interval of both holds the sum."""
    data = digits()
    theirs = BernoulliRBM(HIDDEN, learning_rate=0.05, batch_size=50, n_iter=epochs, random_state=0).fit(data)
    parameters = (theirs.components_, theirs.intercept_visible_, theirs.intercept_hidden_)
    expected = enumerated(*parameters)
    rbm = machine(*parameters, data.mean(0))
    estimate = AnnealedImportanceSampling(runs=100, steps=(100, 300, 400), gibbs_steps=200)(
        rbm, torch.from_numpy(data).float()
    )
    name = f"log Z of 64×{HIDDEN} RBM, {epochs} epochs, nats"
    judge(f"{name}: enumerated", "NumPy, scikit-learn's RBM", expected, exact_log_partition(rbm).value, 1e-3)
    judge(f"{name}: forward", "NumPy, scikit-learn's RBM", expected, estimate.value, 0.5)
    judge(f"{name}: reverse", "NumPy, scikit-learn's RBM", expected, estimate.reverse, 0.5)
    assert float(estimate.low) < expected < float(estimate.high)


def test_pylearn2s_machine(judge: Judge, root: Path) -> None:
    """Its file has no licence, so it isn't here."""
    file = root / "data/mnistvh.mat"
    if not file.is_file():
        pytest.skip(
            f"needs {file}, pylearn2's example of an RBM of 20 hidden units (rbm_tools/tests in its repository)"
        )
    from scipy.io import loadmat

    stored = loadmat(file)
    parameters = (stored["vishid"].T, stored["visbiases"].ravel(), stored["hidbiases"].ravel())
    rbm = machine(*parameters, np.full(len(parameters[1]), 0.1))
    judge("log Z of mnistvh.mat, nats", "pylearn2's tests", KNOWN, exact_log_partition(rbm).value, 1e-3)

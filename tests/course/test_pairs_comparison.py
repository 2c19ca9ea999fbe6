"""The comparison of pairs of pixels, against a sample counted by hand and numpy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tools import tiny

from scalian_exp.checkpoint import load
from scalian_exp.course.comparison import Trained
from scalian_exp.course.comparisons.pairs.agreement import BINS, agreement, density, frequencies, telling
from scalian_exp.course.comparisons.pairs.exhibit import take
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

STATES = torch.tensor([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]])


def test_pairs_of_a_small_sample_are_those_counted_by_hand() -> None:
    pairs = frequencies(STATES)
    assert pairs.tolist() == [[0.75, 0.5, 0], [0.5, 0.5, 0], [0, 0, 0.25]]
    other = frequencies(torch.tensor([[1, 1, 0], [1, 0, 1], [0, 0, 0], [0, 1, 1]]))  # all pairs once in four
    result = agreement(pairs, other)
    assert result["difference"] == pytest.approx((0.25 + 0.25 + 0.25) / 3)
    assert result["correlation"] is None  # pairs of the second don't vary
    assert telling(pairs) in (0, 2)  # their correlations are 1, −1 and ±0.577, those of the other 1 and twice ±0.577

    counts = density(pairs, other)
    low, high = BINS // 4, BINS // 2
    assert {tuple(at) for at in counts.nonzero().tolist()} == {(BINS - 1 - low, 0), (BINS - 1 - low, high)}
    assert counts.max() == counts[BINS - 1 - low, 0] == 255  # two of the three pairs


def test_agreement_is_that_of_numpy() -> None:
    generator = torch.Generator().manual_seed(0)
    ones, others = (torch.rand(2, 50, 6, generator=generator) < torch.rand(6, generator=generator)).double()
    upper = np.triu_indices(6, 1)
    pairs = [x.T.numpy() @ x.numpy() / 50 for x in (ones, others)]
    covariances = [np.cov(x.T, ddof=0) for x in (ones, others)]
    result = agreement(frequencies(ones), frequencies(others))
    assert result["correlation"] == pytest.approx(np.corrcoef(*(p[upper] for p in pairs))[0, 1])
    assert result["covariance_correlation"] == pytest.approx(np.corrcoef(*(c[upper] for c in covariances))[0, 1])


def test_machines_are_compared_with_the_same_data(tmp_path: Path) -> None:
    runs = {}
    for name, options in {"one": ("rbm",), "other": ("rbm", "loss=contrastive_divergence"), "codes": ("vae",)}.items():
        train(tiny(*options), tmp_path / name)
        run = Run(load(tmp_path / name))
        runs[name] = Trained(run, run.facts)
    store = Store("pairs")
    with torch.no_grad(), store.exhibit("pairs"):
        facts = take(runs, {"runs": {"one": "PCD", "other": "CD-1"}}, store)
    assert list(facts["runs"]) == ["one", "other"]
    assert 0 < facts["runs"]["one"]["difference"] < 1
    assert facts["images"] == len(runs["one"].run.data.splits["test"])
    with store.exhibit("codes"), pytest.raises(Refusal, match="no Boltzmann machine"):
        take(runs, {"runs": {"one": "PCD", "codes": "VAE"}}, store)

"""Codes made for bits: noise in training drives activities to 0 and 1."""

from pathlib import Path

import pytest
import torch
from tools import read_csv, tiny
from torch import Tensor, nn

from scalian_exp.checkpoint import load
from scalian_exp.losses.reconstruction import BinaryCrossEntropy
from scalian_exp.metrics.latents import bimodality
from scalian_exp.networks.hashing import HashingAutoencoder, NoisySigmoid, SemanticHashing
from scalian_exp.run.training import train
from scalian_exp.tasks.capabilities import HasBits
from scalian_exp.tasks.offers import offers


def test_noise_has_its_deviation_and_is_left_out_after_training() -> None:
    units, x = NoisySigmoid(4.0), torch.full((20_000,), 1.5, dtype=torch.float64)
    inputs = torch.logit(units(x))
    assert inputs.mean().item() == pytest.approx(1.5, abs=0.1)
    assert inputs.std().item() == pytest.approx(4.0, rel=0.03)
    assert torch.equal(units.eval()(x), torch.sigmoid(x))


def activities(noise: float, x: Tensor) -> Tensor:
    """Return the codes of images after training an autoencoder of four units on them."""
    torch.manual_seed(0)
    network = HashingAutoencoder(1, [2, 2], [8], 4, nn.Tanh, noise)
    optimizer, loss = torch.optim.Adam(network.parameters(), lr=0.05), BinaryCrossEntropy()
    for _ in range(400):
        optimizer.zero_grad()
        loss(network(x), x).backward()
        optimizer.step()
    return network.eval().encode(x).detach()


def test_noise_drives_activities_to_zero_and_one() -> None:
    x = torch.eye(4).view(4, 1, 2, 2).repeat(16, 1, 1, 1)
    codes = activities(4.0, x)
    assert bimodality(codes) == 1
    assert len({tuple(row) for row in (codes[:4] > 0.5).tolist()}) == 4  # all patterns have bits of their own
    assert bimodality(activities(0.0, x)) < 1


def test_bimodality_by_hand() -> None:
    assert bimodality(torch.tensor([[0.05, 0.5, 0.95, 1.0], [0.2, 0.85, 0.0, 0.11]])).item() == 0.5


def test_bits_are_activities_above_the_threshold() -> None:
    for network in (SemanticHashing(6, [], 3, threshold=0.1), HashingAutoencoder(1, [2, 2], [3], 3, threshold=0.1)):
        assert offers(network, HasBits)
        assert network.bits(torch.tensor([[0.05, 0.2, 0.9]])).tolist() == [[False, True, True]]


@pytest.mark.parametrize("model", ["semantic_hashing", "hashing_autoencoder"])
def test_bimodality_is_logged(model: str, tmp_path: Path) -> None:
    config = tiny(model, "logger=csv")
    train(config, tmp_path / "run")
    rows = read_csv(next((tmp_path / "run").rglob("metrics.csv")))
    names = {name for row in rows for name, value in row.items() if value}
    assert {"val/bimodality", "test/bimodality"} <= names
    assert "train/bimodality" not in names
    assert load(tmp_path / "run").task.network.threshold == config["model"]["network"]["threshold"]

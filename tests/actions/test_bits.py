"""Retrieval by bits: distances, Hamming balls, and the tables of action nearest."""

import json
from pathlib import Path

import numpy as np
import pytest
from tools import read_csv, tiny

from scalian_exp.actions.hashing import as_bits
from scalian_exp.actions.nearest import Nearest
from scalian_exp.checkpoint import load
from scalian_exp.metrics import retrieval
from scalian_exp.metrics.retrieval import nearest, within_radius
from scalian_exp.networks.hashing import SemanticHashing
from scalian_exp.run.training import train


def some_bits(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, 2, (rows, 6)).astype(np.float32)


def test_hamming_distances_count_the_bits_that_differ() -> None:
    examples, queries = some_bits(40), some_bits(5)
    result = nearest(examples, queries, 7, "hamming")
    for query, distances, indices in zip(queries, *result, strict=True):
        by_hand = [int((example != query).sum()) for example in examples]
        assert distances.tolist() == sorted(by_hand)[:7]
        assert distances.tolist() == [by_hand[index] for index in indices]


@pytest.mark.parametrize("pairs", [1, 2**22])
def test_balls_equal_those_of_a_double_loop(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "PAIRS", pairs)
    examples, queries = some_bits(40), some_bits(7)
    labels, wanted = np.arange(40) % 3, np.arange(7) % 4  # no example has the last label
    for radius in (0, 1, 3, 6):
        counts = []
        for query, label in zip(queries, wanted, strict=True):
            near = [own for example, own in zip(examples, labels, strict=True) if (example != query).sum() <= radius]
            right = sum(own == label for own in near)
            counts.append((len(near), right / max(len(near), 1), right / max((labels == label).sum(), 1), not near))
        expected = np.mean(counts, 0)
        assert within_radius(examples, queries, labels, wanted, radius) == pytest.approx(tuple(expected))
    assert within_radius(examples, queries, labels, wanted, 6).found == 40


def test_a_networks_own_bits_come_before_the_median() -> None:
    codes = np.array([[0.05, 0.2], [0.3, 0.9], [0.6, 0.95]], np.float32)
    assert as_bits(SemanticHashing(4, [], 2), codes, codes).tolist() == [[0, 0], [0, 1], [1, 1]]
    assert as_bits(None, codes, codes).tolist() == [[0, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize("model", ["semantic_hashing", "hashing_autoencoder", "text_autoencoder"])
def test_neighbours_by_hamming_distance(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny(model, "test=false", "model.network.latent_dim=6"), tmp_path / "run")
    run = load(tmp_path / "run")
    files = Nearest(distance="hamming", count=3).run(run, tmp_path / "applied")
    rows = read_csv(files[0])
    assert {float(row["distance"]) for row in rows} <= set(range(7))
    values = json.loads((tmp_path / "applied/metrics.json").read_text())
    assert "precision_at_10/codes as 6 bits/all" in values
    printed = "within a Hamming radius" in capsys.readouterr().out
    assert printed == ("radius_4/recall" in values) == (model != "text_autoencoder")
    assert "radius_8/recall" not in values

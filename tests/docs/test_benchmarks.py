"""The benchmarks run: nobody else notices if what they call has moved."""

import importlib
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
SMALL: dict[str, dict[str, int]] = {
    "benchmark_boltzmann": {"ROWS": 300, "EPOCHS": 3},
    "benchmark_draw": {"IMAGES": 256, "EPOCHS": 3},
    "benchmark_folders": {"PHOTOS": 8, "BATCH": 4, "ROUNDS": 1},
    "benchmark_peers": {"IMAGES": 300, "EPOCHS": 4},
    "benchmark_ratings": {"EPOCHS": 4},
    "benchmark_sequential": {"IMAGES": 2, "PIXELS": 3, "REPEATS": 1},
}
"""benchmark → constants with which it takes some seconds"""
PEERS = {"benchmark_peers": ["pythae", "learnergy"], "benchmark_ratings": ["surprise"]}
"""benchmark → packages of the extras that it compares with"""


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_benchmark_prints_its_ratios(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for peer in PEERS.get(name, []):
        pytest.importorskip(peer)
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setattr(sys, "argv", [name])
    benchmark = importlib.import_module(name)
    for constant, value in SMALL[name].items():
        monkeypatch.setattr(benchmark, constant, value)
    benchmark.main()
    assert "ratio" in capsys.readouterr().out

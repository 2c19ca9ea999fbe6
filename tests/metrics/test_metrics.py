"""Metrics against values computed by hand."""

import pytest
import torch
from precisions import default_type
from tools import tiny

from scalian_exp.build import build_task
from scalian_exp.distributed import ranks
from scalian_exp.metrics.latents import ActiveUnits
from scalian_exp.metrics.means import Means


def test_means_weight_batches_by_their_size() -> None:
    means = Means()
    means.update({"a": torch.tensor(1.0), "b": torch.tensor(10.0)}, 3)
    means.update({"a": torch.tensor(5.0), "b": torch.tensor(20.0)}, 1)
    assert {name: float(value) for name, value in means.compute().items()} == {"a": 2.0, "b": 12.5}
    means.reset()
    assert means.compute() == {}
    means.update({"a": torch.tensor(7.0), "b": torch.tensor(0.0)}, 2)
    assert float(means.compute()["a"]) == 7.0


def test_means_go_on_from_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process with its own totals; with the mean of all where their number has changed."""
    rows = {"names": ["a"], "totals": torch.tensor([[6.0], [2.0]]), "count": 2}
    for size, rank, value in [(1, 0, 2.0), (2, 0, 3.0), (2, 1, 1.0)]:
        monkeypatch.setattr(ranks, "size", lambda size=size: size)
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        means = Means()
        means.load_state_dict(rows, torch.device("cpu"))
        assert float(means.totals / means.count) == value
    means.load_state_dict({**rows, "totals": torch.tensor([8.0])}, torch.device("cpu"))  # of an earlier version
    assert float(means.totals / means.count) == 4.0


def test_means_without_batches_are_empty() -> None:
    assert Means().compute() == {}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_means_of_many_batches_keep_their_precision(dtype: torch.dtype) -> None:
    with default_type(dtype):  # as in a step of bf16-true: sums of 16 bits stop growing, or overflow
        for names in (["a"], ["a", "b"]):
            means = Means()
            for _ in range(400):
                means.update({name: torch.tensor(100.0) for name in names}, 128)
            assert [float(value) for value in means.compute().values()] == [100.0] * len(names)
            assert means.compute()["a"].dtype == torch.promote_types(dtype, torch.float32)


def test_means_that_an_earlier_version_stored_in_16_bits_go_on_in_32() -> None:
    means = Means()
    means.load_state_dict(
        {"names": ["a"], "totals": torch.tensor([[256.0]], dtype=torch.bfloat16), "count": 256}, torch.device("cpu")
    )
    for _ in range(256):
        means.update({"a": torch.tensor(1.0)}, 1)
    assert float(means.compute()["a"]) == 1


def test_active_units_are_averaged_over_all_examples_in_any_precision() -> None:
    units = torch.nn.ModuleList([ActiveUnits(threshold=0.9)]).to(dtype=torch.bfloat16)  # as Lightning converts a task
    for _ in range(1000):
        units[0].update(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]))
    assert float(units[0].compute()) == 1  # a count in 16 bits ends at 1024, and the variance at 3.9
    units[0].update(torch.zeros(600, 1))
    assert float(units[0].compute()) == 0  # 4000/4600


def test_active_units_counts_latents_whose_mean_varies() -> None:
    units = ActiveUnits()
    codes = torch.randn(1000, 4) * torch.tensor([1.0, 0.2, 0.05, 0.0]) + 3  # variances 1, .04, .0025, 0
    for batch in codes.split(300):
        units.update(batch)
    assert float(units.compute()) == 2
    assert float(units.compute()) == pytest.approx(float((codes.var(0) > 0.01).sum()))


def test_similarity_is_computed_in_full_precision() -> None:
    """SSIM subtracts squares, so in bfloat16 an image compared with itself would score only 0.94."""
    task = build_task(tiny("autoencoder"))
    x = torch.rand(4, 1, 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(task.test_logs({"image": x}, torch.logit(x))["ssim"]) == pytest.approx(1, abs=1e-4)

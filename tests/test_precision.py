"""Types that keep precision, on devices with and without double precision."""

import pytest
import torch
from precisions import default_type, without_double

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

"""The state of all random generators as tensors, for checkpoints inside an epoch."""

import math
import random

import numpy as np
import torch
from torch import Tensor

State = dict[str, Tensor]


def noise_state(device: torch.device) -> State:
    """Return the random state of Python, numpy, torch and, if the device is an NVIDIA GPU, torch on that device."""
    _, numbers, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state = {
        "python": torch.tensor(numbers),
        "python_gauss": torch.tensor(torch.nan if gauss is None else gauss, dtype=torch.double),
        "numpy": torch.tensor([*map(int, keys), position, has_gauss]),
        "numpy_gauss": torch.tensor(cached, dtype=torch.double),
        "torch": torch.get_rng_state(),
    }
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_noise_state(state: State, device: torch.device) -> None:
    """Restore a state that `noise_state` returned, so that the same random numbers follow."""
    gauss = float(state["python_gauss"])
    random.setstate((3, tuple(state["python"].tolist()), None if math.isnan(gauss) else gauss))
    *keys, position, has_gauss = state["numpy"].tolist()
    np.random.set_state(("MT19937", np.array(keys, np.uint32), position, has_gauss, float(state["numpy_gauss"])))
    torch.set_rng_state(state["torch"].clone())  # torch crashes on a row that does not begin its storage
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].clone(), device)

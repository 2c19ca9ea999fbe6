"""Small networks that several test files share."""

from pathlib import Path

import torch
from tools import tiny
from torch import Tensor, nn

from scalian_exp.checkpoint import load
from scalian_exp.networks.draw import DRAW, DRAWWithoutAttention
from scalian_exp.networks.rbm import RBM
from scalian_exp.networks.recurrent_vae import RecurrentVAE
from scalian_exp.networks.units import Bernoulli
from scalian_exp.run.training import train

STACK = ["model.network.hidden=[12, 9, 6]", "model.epochs_per_layer=2", "trainer.max_epochs=6"]
"""three RBMs, each trained for two epochs"""
DRAW_SIZES = [(1, (7, 7)), (3, (9, 6)), (2, (5, 12))]


def count(network: nn.Module) -> int:
    """Count a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def all_states(size: int) -> Tensor:
    """Return all binary vectors of a size, (2^size, size)."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * size)


def arbitrary_rbm(visible: int = 4, hidden: int = 3, scale: float = 1.0, centred: bool = True) -> RBM:
    """Return an RBM with random parameters and base rates; if it is centred, its offsets are random too."""
    rbm = RBM(visible, hidden, Bernoulli(), Bernoulli(), centred)
    with torch.no_grad():
        for name, tensor in rbm.state_dict().items():
            if centred or "offset" not in name:
                tensor.copy_(scale * torch.randn(tensor.shape))
        rbm.visible_mean.copy_(torch.rand(visible))
    return rbm


def network_after(epochs: int, folder: Path, *overrides: str) -> dict[str, torch.Tensor]:
    """Return the weights of a stack of three RBMs that was trained for some epochs."""
    train(tiny("dbn", *STACK, *overrides, f"trainer.max_epochs={epochs}"), folder)
    state: dict[str, torch.Tensor] = load(folder / "checkpoints/last.ckpt").task.network.state_dict()
    return state


def draw_networks(channels: int, size: tuple[int, int], glimpses: int = 3) -> list[RecurrentVAE]:
    """Return a tiny DRAW network with attention, and one without."""
    return [
        DRAW(channels, size, glimpses, 6, 2, read_size=2, write_size=3),
        DRAWWithoutAttention(channels, size, glimpses, 6, 2),
    ]

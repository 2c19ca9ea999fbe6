"""Example of your own autoencoder: two codes, one for each half of the image."""

import torch
from torch import Tensor, nn


class Halves(nn.Module):
    """Images (B, C, H, W), H even → codes (B, 2·half) → logits (B, C, H, W): both halves share their layers."""

    def __init__(self, in_channels: int, image_size: list[int], half: int):
        super().__init__()
        height, width = image_size
        if height % 2:
            raise ValueError(f"Images of {height} rows have no halves; use an even height.")
        self.shape = (in_channels, height // 2, width)
        pixels = in_channels * height // 2 * width
        self.down, self.up = nn.Linear(pixels, half), nn.Linear(half, pixels)

    def encode(self, x: Tensor) -> Tensor:
        return torch.cat([torch.tanh(self.down(part.flatten(1))) for part in x.chunk(2, dim=2)], 1)

    def decode(self, z: Tensor) -> Tensor:
        return torch.cat([self.up(code).unflatten(1, self.shape) for code in z.chunk(2, dim=1)], 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

"""DRAW: a variational autoencoder that reads and writes images in several glimpses.

Gregor et al. 2015, "DRAW: a recurrent neural network for image generation" (arXiv:1502.04623). recurrent_vae.py has
what does not depend on how an image is read and written.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.attention import PARAMETERS, GaussianGrid
from scalian_exp.networks.recurrent_vae import RecurrentVAE, State
from scalian_exp.ranges import PositiveInt


class DRAW(RecurrentVAE):
    """DRAW with attention: each step reads and writes through a grid of filters that it places itself.

    It reads `read_size`² points of one grid and writes to `write_size`² points of another (sections 3.2 and 3.3); both
    grids serve all channels.
    """

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        glimpses: PositiveInt,
        lstm_units: PositiveInt,
        latent_dim: PositiveInt,
        read_size: PositiveInt,
        write_size: PositiveInt,
    ):
        super().__init__(in_channels, image_size, glimpses, lstm_units, latent_dim, 2 * in_channels * read_size**2)
        self.reading, self.writing = GaussianGrid(read_size, image_size), GaussianGrid(write_size, image_size)
        self.read_head = nn.Linear(lstm_units, PARAMETERS)
        self.write_head = nn.Linear(lstm_units, PARAMETERS + in_channels * write_size**2)
        self.patch = (write_size, in_channels, write_size)
        with torch.no_grad():
            self.read_head.bias.copy_(self.reading.start())
            self.write_head.bias[:PARAMETERS] = self.writing.start()

    def looking_at(self, x: Tensor) -> Callable[[Tensor, Tensor, State], State]:
        """Return a step of the encoder that reads x and the error image through its grid."""

        def look(canvas: Tensor, output: Tensor, state: State) -> State:
            error = x - torch.sigmoid(canvas)
            glimpse = self.reading(self.read_head(output)).read(torch.cat([x, error], 2))
            return self.encoder(torch.cat([glimpse.flatten(1), output], 1), state)

        return look

    def write(self, output: Tensor) -> Tensor:
        """Return what the decoder's output (B, lstm_units) adds to the canvas (B, H, C, W), through its grid."""
        parameters, patch = self.write_head(output).tensor_split([PARAMETERS], 1)
        return self.writing(parameters).write(patch.unflatten(1, self.patch))

    def windows(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Return the boxes of the reading and the writing grid, (…, 4) each."""
        return self.reading.box(self.read_head(before)), self.writing.box(self.write_head(after)[..., :PARAMETERS])


class DRAWWithoutAttention(RecurrentVAE):
    """DRAW without attention: each step reads the complete image and writes to the complete canvas (section 3.1)."""

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        glimpses: PositiveInt,
        lstm_units: PositiveInt,
        latent_dim: PositiveInt,
    ):
        self.pixels = math.prod((in_channels, *image_size))
        super().__init__(in_channels, image_size, glimpses, lstm_units, latent_dim, 2 * self.pixels)
        self.write_head = nn.Linear(lstm_units, self.pixels)

    def looking_at(self, x: Tensor) -> Callable[[Tensor, Tensor, State], State]:
        """Return a step of the encoder that reads x and the error image completely.

        Its input is [x, x − σ(canvas), output]; what x contributes to the gates is the same in every step, and computed
        once.
        """
        cell = self.encoder
        of_image, of_error, of_output = cell.weight_ih.split([self.pixels, self.pixels, self.lstm_units], 1)
        constant = F.linear(x.flatten(1), of_image + of_error, cell.bias_ih + cell.bias_hh)
        recurrent = torch.cat([-of_error, of_output, cell.weight_hh], 1)

        def look(canvas: Tensor, output: Tensor, state: State) -> State:
            seen = torch.cat([torch.sigmoid(canvas).flatten(1), output, state[0]], 1)
            return lstm(constant + F.linear(seen, recurrent), state[1])

        return look

    def write(self, output: Tensor) -> Tensor:
        """Return what the decoder's output (…, lstm_units) adds to the canvas (…, H, C, W)."""
        channels, height, width = self.shape
        return self.write_head(output).unflatten(-1, (height, channels, width))


def lstm(gates: Tensor, cell: Tensor) -> State:
    """Finish an LSTM's step from the inputs of its gates (B, 4·units), in torch's order, and its cell (B, units)."""
    into, keep, new, out = gates.chunk(4, 1)
    cell = torch.sigmoid(keep) * cell + torch.sigmoid(into) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(cell), cell

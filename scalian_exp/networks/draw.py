"""DRAW: a variational autoencoder that looks and paints in several glimpses.

Gregor et al. 2015, "DRAW: a recurrent neural network for image generation" (arXiv:1502.04623). q(z_t | x, z_1…z_{t−1})
= N(μ_t, σ_t²), p(z_t) = N(0, 1), and the canvas, the sum of what is written, holds the logits of the pixels. Two LSTMs
(torch's, with two bias vectors) start at zero, the canvas at the training images' mean: no start is learned. A code is
z_1, …, z_T one after the other, (B, T·latent_dim). Inside, images are (B, H, C, W), as in attention.py.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.attention import PARAMETERS, GaussianGrid
from scalian_exp.networks.vae import kl_from_prior
from scalian_exp.ranges import PositiveInt

State = tuple[Tensor, Tensor]
"""an LSTM's output h and cell c, each (B, lstm_units)"""


class Drawing(NamedTuple):
    """How images come about in T steps."""

    canvases: Tensor
    """after each step, logits (T, B, C, H, W)"""
    read: Tensor | None
    """what each step would look at, (T, B, 4): left, top, right, bottom in pixels; None: all"""
    write: Tensor | None
    """what each step writes to, the same"""


class RecurrentVAE(nn.Module, ABC):
    """What DRAW is with any way to look and to write, which a subclass adds.

    The canvas starts at logits, `blank`, that are 0 until the training data say what their mean is: a network that has
    to paint the common background first shifts its windows out of the image by that, and sees nothing for epochs.

    Raises:
        ValueError: in use, for images of another size or codes of another length than it was built for.
    """

    blank: Tensor

    def __init__(
        self,
        in_channels: PositiveInt,
        image_size: Sequence[PositiveInt],
        glimpses: PositiveInt,
        lstm_units: PositiveInt,
        latent_dim: PositiveInt,
        looked_at: PositiveInt,
    ):
        super().__init__()
        self.shape = (in_channels, *image_size)
        self.steps, self.lstm_units, self.latent_dim = glimpses, lstm_units, latent_dim
        self.encoder = nn.LSTMCell(looked_at + lstm_units, lstm_units)
        self.posterior = nn.Linear(lstm_units, 2 * latent_dim)
        self.decoder = nn.LSTMCell(latent_dim, lstm_units)
        self.register_buffer("blank", torch.zeros(image_size[0], in_channels, image_size[1]))

    def start_from(self, mean: Tensor) -> None:
        """Begin at the training images' mean, (C, H, W), clipped to [0.001, 0.999]."""
        self.blank.copy_(torch.logit(mean.clamp(0.001, 0.999)).transpose(0, 1))

    @abstractmethod
    def looking_at(self, x: Tensor) -> Callable[[Tensor, Tensor, State], State]:
        """A step of the encoder: the canvas, the decoder's last output and the encoder's state → its next state."""

    @abstractmethod
    def write(self, output: Tensor) -> Tensor:
        """What the decoder's output (B, lstm_units) adds to the canvas (B, H, C, W)."""

    def windows(self, before: Tensor, after: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Where a step looks and writes, (…, 4) each, by the decoder's output before and after it (…, lstm_units)."""
        return None, None

    def start(self, like: Tensor) -> State:
        zeros = like.new_zeros(like.shape[0], self.lstm_units)
        return zeros, zeros

    def trajectory(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, C, H, W) and noise (T, B, latent_dim) → the last canvas (B, C, H, W), and of each step's q the
        mean and log σ², (T, B, latent_dim) each; eq. 3 to 8."""
        if images.shape[1:] != self.shape:
            theirs, ours = ("×".join(map(str, shape)) for shape in (images.shape[1:], self.shape))
            raise ValueError(f"These images are {theirs}, but this network draws {ours} (channels, height, width).")
        x = images.transpose(1, 2)
        look, canvas = self.looking_at(x), self.blank.expand_as(x)
        encoder, decoder = self.start(x), self.start(x)
        posteriors = []
        for e in noise.unbind(0):
            encoder = look(canvas, decoder[0], encoder)
            posteriors.append(self.posterior(encoder[0]))
            mean, log_variance = posteriors[-1].chunk(2, 1)
            decoder = self.decoder(mean + torch.exp(0.5 * log_variance) * e, decoder)
            canvas = canvas + self.write(decoder[0])
        mean, log_variance = torch.stack(posteriors).chunk(2, 2)
        return canvas.transpose(1, 2), mean, log_variance

    def noise(self, count: int) -> Tensor:
        """Of so many images, new for every step."""
        weight = self.posterior.weight
        return torch.randn(self.steps, count, self.latent_dim, device=weight.device, dtype=weight.dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C, H, W) for one z ~ q(z|x), and the KL of each step's q from the prior, latent by latent, given
        the steps before it, (B, T·latent_dim), in nats; eq. 10."""
        logits, mean, log_variance = self.trajectory(x, self.noise(x.shape[0]))
        return logits, step_by_step(kl_from_prior(mean, log_variance))

    def importance(self, x: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Logits (samples, B, C, H, W) of z ~ q(z|x), and log p(z) − log q(z|x), (samples, B), along the path drawn."""
        many = x.repeat(samples, 1, 1, 1)
        noise = self.noise(many.shape[0])
        logits, mean, log_variance = self.trajectory(many, noise)
        z = mean + torch.exp(0.5 * log_variance) * noise
        log_ratio = 0.5 * (noise.square() + log_variance - z.square()).sum((0, 2))
        return logits.unflatten(0, (samples, -1)), log_ratio.unflatten(0, (samples, -1))

    def encode(self, x: Tensor) -> Tensor:
        """The code of an image, (B, T·latent_dim): each step's posterior mean, the steps before it at theirs."""
        silence = x.new_zeros(self.steps, x.shape[0], self.latent_dim)
        return step_by_step(self.trajectory(x, silence)[1])

    def outputs(self, codes: Tensor) -> Iterator[Tensor]:
        """The decoder's output (B, lstm_units) after each step."""
        if codes.shape[1] != self.steps * self.latent_dim:
            raise ValueError(
                f"These codes have {codes.shape[1]} numbers, but this network's {self.steps} × {self.latent_dim}."
            )
        state = self.start(codes)
        for z in codes.unflatten(1, (self.steps, -1)).unbind(1):
            state = self.decoder(z, state)
            yield state[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Logits (B, C, H, W)."""
        canvas = self.blank
        for output in self.outputs(codes):
            canvas = canvas + self.write(output)
        return canvas.transpose(1, 2)

    def drawing(self, codes: Tensor) -> Drawing:
        """How the images of these codes come about."""
        after = torch.stack([*self.outputs(codes)])
        before = torch.cat([torch.zeros_like(after[:1]), after[:-1]])
        written = torch.stack([self.write(output) for output in after])
        canvases = self.blank + written.cumsum(0)
        return Drawing(canvases.transpose(2, 3), *self.windows(before, after))

    def prior(self, count: int) -> Tensor:
        """So many codes z ~ p(z)."""
        return step_by_step(self.noise(count))

    def sample(self, count: int) -> Tensor:
        """Mean images (count, C, H, W) in [0, 1] for z ~ p(z)."""
        return torch.sigmoid(self.decode(self.prior(count)))


class DRAW(RecurrentVAE):
    """Looks at `read_size`² points of a grid that it lays where it likes, and writes to `write_size`² of another;
    sections 3.2 and 3.3.

    The same two grids serve all channels.
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
        def look(canvas: Tensor, output: Tensor, state: State) -> State:
            error = x - torch.sigmoid(canvas)
            glimpse = self.reading(self.read_head(output)).read(torch.cat([x, error], 2))
            return self.encoder(torch.cat([glimpse.flatten(1), output], 1), state)

        return look

    def write(self, output: Tensor) -> Tensor:
        parameters, patch = self.write_head(output).tensor_split([PARAMETERS], 1)
        return self.writing(parameters).write(patch.unflatten(1, self.patch))

    def windows(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        return self.reading.box(self.read_head(before)), self.writing.box(self.write_head(after)[..., :PARAMETERS])


class DRAWWithoutAttention(RecurrentVAE):
    """Looks at the whole image and writes to the whole canvas; section 3.1."""

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
        """With [x, x − σ(canvas), output] as its input, the encoder's part of x is the same in every step."""
        cell = self.encoder
        of_image, of_error, of_output = cell.weight_ih.split([self.pixels, self.pixels, self.lstm_units], 1)
        constant = F.linear(x.flatten(1), of_image + of_error, cell.bias_ih + cell.bias_hh)
        recurrent = torch.cat([-of_error, of_output, cell.weight_hh], 1)

        def look(canvas: Tensor, output: Tensor, state: State) -> State:
            seen = torch.cat([torch.sigmoid(canvas).flatten(1), output, state[0]], 1)
            return lstm(constant + F.linear(seen, recurrent), state[1])

        return look

    def write(self, output: Tensor) -> Tensor:
        channels, height, width = self.shape
        return self.write_head(output).unflatten(-1, (height, channels, width))


def lstm(gates: Tensor, cell: Tensor) -> State:
    """What is left of an LSTM's step once its gates' inputs (B, 4·units) are known, in torch's order."""
    into, keep, new, out = gates.chunk(4, 1)
    cell = torch.sigmoid(keep) * cell + torch.sigmoid(into) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(cell), cell


def step_by_step(values: Tensor) -> Tensor:
    """(T, B, D) → (B, T·D)."""
    return values.transpose(0, 1).flatten(1)

"""Recurrent variational autoencoder: the part of DRAW that does not depend on how images are read and written.

Gregor et al. 2015, "DRAW: a recurrent neural network for image generation" (arXiv:1502.04623). q(z_t | x, z_1…z_{t−1})
= N(μ_t, σ_t²), p(z_t) = N(0, 1), and the canvas, the sum of everything written, holds the logits of the pixels. Two
LSTMs (torch's, with two bias vectors) start at zero and the canvas at the training images' mean, so no initial state is
learned. A code is z_1, …, z_T concatenated, (B, T·latent_dim). Internally images are (B, H, C, W), as in attention.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scalian_exp.networks.vae import kl_from_prior, log_prior_ratio
from scalian_exp.ranges import PositiveInt

State = tuple[Tensor, Tensor]
"""an LSTM's output h and cell c, each (B, lstm_units)"""


class Drawing(NamedTuple):
    """Images and how they are drawn in T steps."""

    canvases: Tensor
    """logits after each step, (T, B, C, H, W)"""
    read: Tensor | None
    """window that each step would read, (T, B, 4): left, top, right, bottom in pixels; None if it reads everything"""
    write: Tensor | None
    """window that each step writes to, (T, B, 4); None if it writes everywhere"""


class RecurrentVAE(nn.Module, ABC):
    """Recurrent variational autoencoder; subclasses add how images are read and written.

    The canvas starts at the logits `blank`, which are 0 until `start_from` sets them to those of the training data's
    mean. A network that first had to paint the common background would shift its windows out of the image in doing so,
    and see nothing for epochs.

    Raises:
        ValueError: when used on images of another size, or codes of another length, than it was built for.
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
        """Start the canvas at the training images' mean, (C, H, W), clipped to [0.001, 0.999]."""
        self.blank.copy_(torch.logit(mean.clamp(0.001, 0.999)).transpose(0, 1))

    @abstractmethod
    def looking_at(self, x: Tensor) -> Callable[[Tensor, Tensor, State], State]:
        """Return a step of the encoder on images x (B, H, C, W).

        It maps the canvas (B, H, C, W), the decoder's last output and the encoder's state to the encoder's next state.
        """

    @abstractmethod
    def write(self, output: Tensor) -> Tensor:
        """Return what the decoder's output (B, lstm_units) adds to the canvas (B, H, C, W)."""

    def windows(self, before: Tensor, after: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the windows that a step reads and writes, (…, 4) each, or None where it has none.

        Args:
            before: the decoder's output before the step, (…, lstm_units).
            after: the decoder's output after it, (…, lstm_units).
        """
        return None, None

    def start(self, like: Tensor) -> State:
        """Return an LSTM's initial state, zeros, for as many rows as `like` has."""
        zeros = like.new_zeros(like.shape[0], self.lstm_units)
        return zeros, zeros

    def trajectory(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode images (B, C, H, W) step by step with noise (T, B, latent_dim); eq. 3 to 8.

        Returns:
            The last canvas (B, C, H, W), and the mean and log σ² of each step's q, (T, B, latent_dim) each.
        """
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
        """Draw N(0, 1) noise for `count` images and every step, (T, count, latent_dim)."""
        weight = self.posterior.weight
        return torch.randn(self.steps, count, self.latent_dim, device=weight.device, dtype=weight.dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, C, H, W) in [0, 1] to logits (B, C, H, W) for one z ~ q(z|x), and to the KL divergence.

        The KL divergence of each step's q from the prior, given the steps before it, is in nats, latent by latent, (B,
        T·latent_dim); eq. 10.
        """
        logits, mean, log_variance = self.trajectory(x, self.noise(x.shape[0]))
        return logits, step_by_step(kl_from_prior(mean, log_variance))

    def importance(self, x: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Draw `samples` codes z ~ q(z|x) for each image (B, C, H, W).

        Returns:
            Logits (samples, B, C, H, W), and log p(z) − log q(z|x), (samples, B), along the path drawn.
        """
        many = x.repeat(samples, 1, 1, 1)
        noise = self.noise(many.shape[0])
        logits, mean, log_variance = self.trajectory(many, noise)
        z = mean + torch.exp(0.5 * log_variance) * noise
        log_ratio = log_prior_ratio(z, log_variance, noise).sum((0, 2))
        return logits.unflatten(0, (samples, -1)), log_ratio.unflatten(0, (samples, -1))

    def encode(self, x: Tensor) -> Tensor:
        """Encode images (B, C, H, W) in [0, 1] to codes (B, T·latent_dim): posterior means, step after step."""
        no_noise = x.new_zeros(self.steps, x.shape[0], self.latent_dim)
        return step_by_step(self.trajectory(x, no_noise)[1])

    def outputs(self, codes: Tensor) -> Iterator[Tensor]:
        """Yield the decoder's output (B, lstm_units) after each step for codes (B, T·latent_dim)."""
        if codes.shape[1] != self.steps * self.latent_dim:
            raise ValueError(
                f"These codes have {codes.shape[1]} numbers, but this network's have {self.steps} × {self.latent_dim}."
            )
        state = self.start(codes)
        for z in codes.unflatten(1, (self.steps, -1)).unbind(1):
            state = self.decoder(z, state)
            yield state[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes (B, T·latent_dim) to logits of the pixels (B, C, H, W)."""
        canvas = self.blank
        for output in self.outputs(codes):
            canvas = canvas + self.write(output)
        return canvas.transpose(1, 2)

    def drawing(self, codes: Tensor) -> Drawing:
        """Return how images are drawn step by step from codes (B, T·latent_dim)."""
        after = torch.stack([*self.outputs(codes)])
        before = torch.cat([torch.zeros_like(after[:1]), after[:-1]])
        written = torch.stack([self.write(output) for output in after])
        canvases = self.blank + written.cumsum(0)
        return Drawing(canvases.transpose(2, 3), *self.windows(before, after))

    def prior(self, count: int) -> Tensor:
        """Draw codes z ~ p(z), (count, T·latent_dim)."""
        return step_by_step(self.noise(count))

    def sample(self, count: int) -> Tensor:
        """Draw mean images (count, C, H, W) in [0, 1] for z ~ p(z)."""
        return torch.sigmoid(self.decode(self.prior(count)))


def step_by_step(values: Tensor) -> Tensor:
    """Concatenate the values of all steps: (T, B, D) → (B, T·D)."""
    return values.transpose(0, 1).flatten(1)

"""Segmentation networks of other libraries, such as torchvision and segmentation_models_pytorch."""

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from scalian_exp.networks.parts.backbones import Standardise
from scalian_exp.networks.parts.lonely_batch_norm import LonelyBatchNorm
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal

NONE_OF = {"encoder_weights": None, "weights": None, "weights_backbone": None, "pretrained": False}
"""arguments by which libraries fetch published weights → the value that fetches none"""
REFUSING = (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, RuntimeError)
"""exceptions with which libraries refuse arguments, a misspelt encoder for example"""


class Adapted(nn.Module):
    """Adapter that gives another library's segmentation network images of any size in [0, 1], standardised.

    Args:
        network: builds a network that maps standardised images (B, C, H, W), whose sides are multiples of
            `total_stride`, to logits (B, num_classes, H, W), or to a dict with logits as `out` and perhaps `aux`. If an
            argument of its fetches published weights (`encoder_weights`, `weights`, `weights_backbone`, `pretrained`),
            given or by default, they are fetched when a training starts, not when a checkpoint's weights follow. A
            network that is built already is taken as it is.
        in_channels: channels of the images.
        total_stride: stride of its deepest map, in pixels.
        mean: of each channel, subtracted from the images; ImageNet's by default.
        std: of each channel, by which they are divided; ImageNet's by default.
    """

    def __init__(
        self,
        network: nn.Module | Callable[..., nn.Module],
        in_channels: PositiveInt,
        total_stride: PositiveInt = 32,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        super().__init__()
        self.standardise = Standardise(in_channels, mean, std)
        self.build = None if isinstance(network, nn.Module) else checked(network)
        self.fetches = {} if self.build is None else fetched_by(self.build)
        self.network: nn.Module = network if self.build is None else built(self.build, self.fetches)  # type: ignore[assignment]
        self.total_stride = total_stride
        for module in self.network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = LonelyBatchNorm  # for batches of one image; parameters keep their names

    @property
    def pretrained(self) -> bool:
        """Whether to start from published weights."""
        return bool(self.fetches)

    def load_pretrained(self) -> None:
        """Fetch the published weights, by building the network once more with the arguments that name them.

        Raises:
            ValueError: if they can't be had.
        """
        assert self.build is not None
        weights = f"the weights of {' and '.join(f'model.network.network.{name}' for name in self.fetches)}"
        try:
            source = self.build()
        except OSError as error:
            raise ValueError(
                f"{weights} can't be had ({reason_of(error)}); fetch them where there is a network, or do without "
                "(null)."
            ) from error
        except REFUSING as error:
            raise ValueError(
                f"{weights} are refused by the library ({type(error).__name__}: {reason_of(error)}); choose others "
                "that suit the network, or do without (null)."
            ) from error
        state, target = source.state_dict(), self.network.state_dict()
        self.network.load_state_dict({name: state[name] for name in target.keys() & state.keys()}, strict=False)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Map images (B, C, H, W) in [0, 1] to logits (B, num_classes, H, W), or to a dict of them.

        Raises:
            Refusal: if the network returns anything else than maps of its inputs' size.
        """
        height, width = x.shape[-2:]
        step = self.total_stride
        x = F.pad(self.standardise(x), (0, (step - width % step) % step, 0, (step - height % step) % step))
        outputs = self.network(x)
        maps = outputs if isinstance(outputs, dict) else {"out": outputs}
        for name, logits in maps.items():
            if not isinstance(logits, Tensor) or logits.shape[2:] != x.shape[2:]:
                got = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
                raise Refusal(
                    f"{type(self.network).__name__} returns {got} as {name} of images {tuple(x.shape)}; "
                    "model.network.network needs logits for each pixel, as a tensor or a dict of tensors."
                )
        maps = {name: logits[..., :height, :width] for name, logits in maps.items()}
        return maps if isinstance(outputs, dict) else maps["out"]


def built(build: Callable[..., nn.Module], without: dict[str, Any]) -> nn.Module:
    """Build another library's network without published weights.

    Args:
        build: builds it.
        without: the arguments by which it would fetch them, and their none.

    Raises:
        ValueError: if the library refuses its arguments, or it would give probabilities instead of logits.
    """
    activation = getattr(build, "keywords", {}).get("activation")
    if activation not in (None, "identity"):
        raise ValueError(
            f"model.network.network.activation={activation} makes probabilities of the logits that losses and metrics "
            "need; leave it out."
        )
    try:
        return build(**without)
    except REFUSING as error:
        raise ValueError(f"the library refuses it ({type(error).__name__}: {reason_of(error)}).") from error


def fetched_by(build: Callable[..., nn.Module]) -> dict[str, Any]:
    """Return the arguments by which a function would fetch published weights, given or by default, and their none."""
    defaults = {name: parameter.default for name, parameter in signature(build).parameters.items()}
    arguments = {**defaults, **getattr(build, "keywords", {})}  # also those that it takes as **kwargs
    return {name: none for name, none in NONE_OF.items() if arguments.get(name, none) != none}


def reason_of(error: Exception) -> str:
    """Return the first line of an exception's message, or its name."""
    return next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__


def checked(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Return a function that builds a network, if it can be called with the arguments that it has already.

    Raises:
        ValueError: if it lacks some.
    """
    try:
        signature(build).bind()
    except TypeError as error:
        name = getattr(build.func if isinstance(build, partial) else build, "__name__", "the network")
        raise ValueError(f"{name} can't be called like this: {error}.") from error
    return build

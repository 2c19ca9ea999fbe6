"""Let an action's network see images at several scales and mirrored."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

from scalian_exp.checkpoint import Loaded
from scalian_exp.memory import check_fits
from scalian_exp.networks.scales import MultiScale, scaled_size
from scalian_exp.ranges import PositiveFloat
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import AveragesMirrored
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.segmentation import Segmentation


@contextmanager
def at_scales(
    model: Loaded,
    scales: Sequence[PositiveFloat],
    flip: bool,
    size: Sequence[int],
    count: int = 1,
    most: int | None = None,
) -> Iterator[None]:
    """Average a segmentation network's class probabilities over scales and mirror images within this block.

    With scale 1 alone and without mirror images, the network stays as it is, whatever its kind.

    Args:
        model: the trained model.
        scales: factors of the images' height and width.
        flip: average over left-right mirror images, too.
        size: height and width of what the network would see at scale 1.
        count: number of images that it sees at once.
        most: bytes that its logits may take; None for all memory.

    Raises:
        Refusal: if there is no scale, the network isn't for segmentation or averages over mirror images itself, or
            images get too small or too large for it.
    """
    if list(scales) == [1] and not flip:
        yield
        return
    check_scales(model, scales, size, count, most)
    network = model.task.network
    if flip and offers(network, AveragesMirrored) and network.average_flipped:
        raise Refusal(
            "This network averages over mirror images itself (model.network.average_flipped); leave flip out."
        )
    model.task.network = MultiScale(network, scales, flip)
    try:
        yield
    finally:
        model.task.network = network


def check_scales(model: Loaded, scales: Sequence[float], size: Sequence[int], count: int, most: int | None) -> None:
    """Refuse scales that don't suit the network; arguments as in `at_scales`.

    Raises:
        Refusal: if they don't.
    """
    network = model.task.network
    if not isinstance(model.task, Segmentation):
        raise Refusal(
            f"scales and flip are for segmentation networks, and this run's network is {type(network).__name__}; leave "
            "them out."
        )
    if not scales:
        raise Refusal("scales=[] leaves nothing to look at; give at least one scale, such as scales=[0.5,0.75,1].")
    height, width = scaled_size(size, min(scales))
    if min(scales) < 1 and min(height, width) <= network.total_stride:
        raise Refusal(
            f"At scale {min(scales):g} images have {height}×{width} pixels, too few for {type(network).__name__}, "
            f"whose deepest map has a stride of {network.total_stride}; leave this scale out."
        )
    bytes_of_logits = 4 * count * model.task.num_classes * prod(scaled_size(size, max(scales)))
    room = (most, "this action") if most is not None else None
    check_fits(bytes_of_logits, f"The logits at scale {max(scales):g}", "leave this scale out", room)


def described(scales: Sequence[float], flip: bool) -> str:
    """Describe what is averaged over, for a title; empty for scale 1 alone."""
    if list(scales) == [1] and not flip:
        return ""
    listed = ", ".join(f"{scale:g}" for scale in scales)
    return f", averaged over scale{'s' if len(scales) > 1 else ''} {listed}{' and mirror images' if flip else ''}"

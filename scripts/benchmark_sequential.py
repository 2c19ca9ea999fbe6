"""Measure the gain from cached states in sampling, and from computing diagonals at once in a Diagonal BiLSTM.

    python scripts/benchmark_sequential.py

Sampling 28×28 images pixel by pixel with cached states is compared with a full forward pass for every pixel, and a
Diagonal BiLSTM layer, which computes entire diagonals, with the same layer pixel by pixel. The full forward passes are
timed on the first pixels only, as all cost the same. Both sides take turns, so that a machine that slows down slows
both. Times are medians.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from scalian_exp.networks.parts.pixel_network import PixelByPixel
from scalian_exp.networks.parts.pixels import draw
from scalian_exp.networks.pixelcnn import PixelCNN
from scalian_exp.networks.pixelrnn import DiagonalBiLSTM, PixelRNN

SIZE, IMAGES, PIXELS, REPEATS = 28, 16, 14, 5


@torch.no_grad()
def draw_by_whole_images(
    network: PixelByPixel, x: Tensor, known: Tensor, temperature: float, noise: Tensor, most: int | None = None
) -> Tensor:
    """Sample as `pixel_by_pixel`, but with a full forward pass for every channel of every pixel or the first pixels."""
    x = torch.where(known, x, torch.zeros_like(x))
    channels, height, width = network.shape
    for place in range(height * width)[:most]:
        row, column = divmod(place, width)
        for channel in range(channels):
            logits = network(x)[..., channel, row, column]  # (B,) or (B, values)
            drawn = draw(
                logits.movedim(-1, 0) if logits.dim() == 2 else logits, noise[:, channel, row, column], temperature
            )
            pixel = x[:, channel, row, column]
            x[:, channel, row, column] = torch.where(known[:, 0, row, column], pixel, drawn.to(x.dtype))
    return x


def lstm_by_pixel(gates: Tensor, neighbours: Callable[[int, int], list[tuple[int, int]]], weights: Tensor) -> Tensor:
    """Compute an LSTM's states (h, H, W, B) from input-to-state gates (4h, H, W, B), pixel by pixel.

    Args:
        gates: input-to-state gates (4h, H, W, B).
        neighbours: (row, column) → positions of the states that enter; states outside the image are 0. The memory comes
            from the first.
        weights: the neighbours' state-to-state matrices (taps, 4h, h).
    """
    _, height, width, count = gates.shape
    nothing = gates.new_zeros(weights.shape[2], count)
    states: dict[tuple[int, int], Tensor] = {}
    memories: dict[tuple[int, int], Tensor] = {}
    for row in range(height):
        for column in range(width):
            places = neighbours(row, column)
            total = gates[:, row, column]
            for matrix, place in zip(weights, places, strict=True):
                total = total + matrix @ states.get(place, nothing)
            o, f, i, g = total.unflatten(0, (4, -1))
            memory = f.sigmoid() * memories.get(places[0], nothing) + i.sigmoid() * g.tanh()
            memories[row, column], states[row, column] = memory, o.sigmoid() * memory.tanh()
    return torch.stack([states[divmod(place, width)] for place in range(height * width)], 1).unflatten(
        1, (height, width)
    )


def diagonal_by_pixel(layer: DiagonalBiLSTM, y: Tensor) -> Tensor:
    """Compute a layer's output for maps (2h, H, W, B), pixel by pixel."""
    both = []
    for direction, convolution in enumerate(layer.inputs):
        seen = y if direction == 0 else y.flip(2)
        gates = torch.einsum("fg,ghwb->fhwb", convolution.weight[:, :, 0, 0] * convolution.mask[:, :, 0, 0], seen)
        gates = gates + convolution.bias[:, None, None, None]
        both.append(lstm_by_pixel(gates, lambda r, c: [(r, c - 1), (r - 1, c)], layer.state[direction]))
    left, right = both[0], both[1].flip(2)
    states = left + torch.cat([torch.zeros_like(right[:, :1]), right[:, :-1]], 1)  # shifted down by one row
    up = torch.einsum("fg,ghwb->fhwb", layer.up.weight[:, :, 0, 0] * layer.up.mask[:, :, 0, 0], states)
    return y + up + layer.up.bias[:, None, None, None]


def seconds(task: Callable[[], object]) -> float:
    """Return the seconds that a task takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def compared(ours: Callable[[], object], others: Callable[[], object]) -> tuple[float, float]:
    """Return the median seconds of both, which take turns, after one turn to warm up."""
    times = [(seconds(ours), seconds(others)) for _ in range(REPEATS + 1)][1:]
    return median(a for a, _ in times), median(b for _, b in times)


def sampling(network: PixelByPixel) -> tuple[float, float]:
    """Return the seconds of sampling with cached states and with full forward passes."""
    nothing = torch.zeros(IMAGES, *network.shape)
    known, noise = torch.zeros_like(nothing, dtype=torch.bool), torch.rand_like(nothing)
    ours, some = compared(
        lambda: list(network.pixel_by_pixel(nothing, known, 1.0, noise)),
        lambda: draw_by_whole_images(network, nothing, known, 1.0, noise, PIXELS),
    )
    return ours, some * SIZE * SIZE / PIXELS


def main() -> None:
    """Print the table of ratios."""
    torch.manual_seed(0)
    networks = {
        "Diagonal BiLSTM, 7 layers of 16": PixelRNN(1, [SIZE, SIZE], 2, DiagonalBiLSTM),
        "PixelCNN, 7 layers of 16": PixelCNN(1, [SIZE, SIZE], 2),
    }
    rows = [(f"sampling {IMAGES} images: {name}", *sampling(network), 20) for name, network in networks.items()]
    layer, y = DiagonalBiLSTM(16, 1), torch.randn(32, SIZE, SIZE, IMAGES)
    with torch.no_grad():
        times = compared(lambda: layer(y, None), lambda: diagonal_by_pixel(layer, y))
    rows.append(("a Diagonal BiLSTM layer, forward", *times, 3))
    times = compared(lambda: layer(y, None).sum().backward(), lambda: diagonal_by_pixel(layer, y).sum().backward())
    rows.append(("the same, forward and backward", *times, 3))
    table = Table(title=f"seconds, {SIZE}×{SIZE} pixels, {torch.get_num_threads()} threads")
    for column in ("what", "at once", "naively", "ratio", "wanted", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, ours, others, least in rows:
        ratio = others / ours
        mark = "yes" if ratio >= least else "NO"
        table.add_row(what, f"{ours:.3f}", f"{others:.3f}", f"{ratio:.1f}", f"≥ {least}", mark)
    Console().print(table)


if __name__ == "__main__":
    main()

"""Compare the CRF's speed and memory with pydensecrf2, the authors' C++ code.

    python scripts/benchmark_crf.py

A photograph of 360×480 pixels, 12 and 21 classes, 10 iterations, both kernels, including the construction of the
lattices. Both take turns, so that a machine that slows down slows both; times are medians. The CRF uses 1 thread, then
2; pydensecrf2 uses one. Two threads without two free cores mostly wait for each other, so that on a busy machine only
the rows of one thread are meaningful.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_image
from torch import Tensor

from scalian_exp.networks.crf import DenseCRF

try:
    from pydensecrf.densecrf import DenseCRF2D
except ImportError:
    raise SystemExit("This benchmark needs pydensecrf2: pip install '.[crf]'") from None

HEIGHT, WIDTH = 360, 480
ROUNDS = 9


def scene(classes: int) -> tuple[Tensor, Tensor]:
    """Return smooth random logits (1, K, H, W) with noise, and a photograph (1, 3, H, W)."""
    photograph = load_sample_image("china.jpg")[:HEIGHT, :WIDTH]
    image = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None] / 255
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, classes, HEIGHT // 20, WIDTH // 20, generator=generator)
    noise = torch.randn(1, classes, HEIGHT, WIDTH, generator=generator)
    return 2 * F.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic") + 0.5 * noise, image


def ours(logits: Tensor, images: Tensor) -> np.ndarray:
    """Return the marginals (K, H, W) of this package's CRF."""
    return DenseCRF()(logits, images)[0].numpy()


def theirs(logits: Tensor, images: Tensor) -> np.ndarray:
    """Return the marginals (K, H, W) of pydensecrf2, with the same parameters and its default normalisation."""
    classes = logits.shape[1]
    crf = DenseCRF2D(WIDTH, HEIGHT, classes)
    crf.setUnaryEnergy((-logits[0].log_softmax(0)).flatten(1).numpy())
    crf.addPairwiseGaussian(sxy=3, compat=3)
    colours = images[0].mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=colours, compat=10)
    return np.array(crf.inference(10)).reshape(classes, HEIGHT, WIDTH)


def timed(action: Callable[..., np.ndarray], *arguments: Any) -> tuple[float, np.ndarray]:
    """Return the seconds that an action takes, and its result."""
    start = time.perf_counter()
    result = action(*arguments)
    return time.perf_counter() - start, result


def peak() -> int:
    """Return the peak memory of this process in kB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0])


def megabytes(action: Callable[..., np.ndarray], classes: int) -> float:
    """Return the megabytes that a run adds to the peak memory of a fresh process."""
    arguments, before = scene(classes), peak()
    action(*arguments)
    return (peak() - before) / 1024


def side_by_side(classes: int) -> tuple[float, float, float]:
    """Return the median seconds of both, and the largest difference between their marginals."""
    arguments = scene(classes)
    pairs = [(timed(ours, *arguments), timed(theirs, *arguments)) for _ in range(ROUNDS)]
    first, second = (median(pair[i][0] for pair in pairs) for i in range(2))
    return first, second, float(np.abs(pairs[-1][0][1] - pairs[-1][1][1]).max())


def in_fresh_process(threads: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process, because OpenMP's number of threads must be set before a process starts."""
    with patch.dict(os.environ, OMP_NUM_THREADS=str(threads)), multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    """Print the table of ratios."""
    table = Table(title=f"dense CRF, {HEIGHT}×{WIDTH}, 10 iterations")
    for column in ("classes", "threads", "ours, s", "pydensecrf2, s", "ratio", "wanted", "", "largest ΔQ"):
        table.add_column(column, justify="right")
    memory = []
    for classes in (12, 21):
        for threads in (1, 2):
            first, second, difference = in_fresh_process(threads, side_by_side, classes)
            met = first / second <= 1.2 and difference <= 1e-4
            row = [f"{first:.3f}", f"{second:.3f}", f"{first / second:.2f}", "≤ 1.2", "yes" if met else "NO"]
            table.add_row(str(classes), str(threads), *row, f"{difference:.1e}")
        peaks = [in_fresh_process(1, megabytes, action, classes) for action in (ours, theirs)]
        memory.append(f"{classes} classes: peak memory {peaks[0]:.0f} MB against {peaks[1]:.0f} MB")
    Console().print(table, *memory, sep="\n")


if __name__ == "__main__":
    main()

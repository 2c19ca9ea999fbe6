"""Available memory and cores; refuse what doesn't fit, before the kernel kills the process without a word."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from scalian_exp.refusal import Refusal

CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""files in which Linux reports a container's memory limit"""
MACHINE = "/proc/meminfo"
"""file in which Linux reports the swap space"""


def total() -> int:
    """Return the bytes of memory that this process may use: the machine's or its container's, plus swap space."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CONTAINERS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            limits.append(int(Path(file).read_text()))
    return min(limits) + swap()


def swap() -> int:
    """Return the bytes of swap space; 0 where the system doesn't report them."""
    with suppress(OSError):
        for line in Path(MACHINE).read_text().splitlines():
            if line.startswith("SwapTotal:"):
                return 1024 * int(line.split()[1])
    return 0


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_fits(size: float, what: str, advice: str, room: tuple[float, str] | None = None) -> None:
    """Refuse something that doesn't fit in memory.

    Args:
        size: lower bound on its size in bytes.
        what: its name, which begins the message.
        advice: what to do instead, which ends the message.
        room: size of the memory in bytes and the name of its owner; None for all memory of this machine.

    Raises:
        Refusal: if it doesn't fit.
    """
    most, owner = room or (total(), "this machine")
    if size > most:
        raise Refusal(f"{what} would take at least {amount(size)}, but {owner} has {amount(most)}; {advice}.")


def amount(size: float) -> str:
    """Format a number of bytes for people to read."""
    power = min(int(math.log10(max(size, 1))) // 3, 6)
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[power]} of memory"


def check_images(count: int, shape: Sequence[int], bytes_each: int = 4) -> None:
    """Refuse images that don't fit in memory together.

    Args:
        count: number of images in memory at once.
        shape: shape of one image (C, H, W).
        bytes_each: bytes per channel of a pixel.

    Raises:
        Refusal: if they need more than all memory.
    """
    size = count * math.prod(shape) * bytes_each
    what = f"{count} images" if count > 1 else "One image"
    check_fits(size, f"{what} of {'×'.join(map(str, shape))}", "take fewer or smaller ones (image_size)")

"""How much memory there is. What doesn't fit is refused beforehand: the kernel would kill the process in silence."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from scalian_exp.refusal import Refusal

CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""where Linux says how much memory a container may use"""
MACHINE = "/proc/meminfo"
"""where Linux says how much swap space there is"""


def total() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's if that is less; and swap space."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CONTAINERS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            limits.append(int(Path(file).read_text()))
    return min(limits) + swap()


def swap() -> int:
    """Bytes of swap space, as far as Linux tells."""
    with suppress(OSError):
        for line in Path(MACHINE).read_text().splitlines():
            if line.startswith("SwapTotal:"):
                return 1024 * int(line.split()[1])
    return 0


def check_fits(size: float, what: str, advice: str, room: tuple[float, str] | None = None) -> None:
    """Refuse what is larger than the memory it goes to.

    Args:
        size: bytes that it takes at least.
        what: begins the sentence.
        advice: ends it.
        room: bytes of that memory, and whose it is; None for all of this machine's.

    Raises:
        Refusal: if it doesn't fit.
    """
    most, owner = room or (total(), "this machine")
    if size > most:
        raise Refusal(f"{what} would take at least {amount(size)}, but {owner} has {amount(most)}; {advice}.")


def amount(size: float) -> str:
    """Bytes for people to read."""
    power = min(int(math.log10(max(size, 1))) // 3, 6)
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[power]} of memory"


def check_images(count: int, shape: Sequence[int], bytes_each: int = 4) -> None:
    """Refuse images that don't fit in memory together.

    Args:
        count: images in memory at once.
        shape: of one: channels, height, width.
        bytes_each: of a pixel's channel.

    Raises:
        Refusal: if they are more than all memory.
    """
    size = count * math.prod(shape) * bytes_each
    what = f"{count} images" if count > 1 else "One image"
    check_fits(size, f"{what} of {'×'.join(map(str, shape))}", "take fewer or smaller ones (image_size)")

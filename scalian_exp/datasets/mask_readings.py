"""How a mask file was read, and whether the files of a data set agree in it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from scalian_exp.datasets.image_files import MAXVAL
from scalian_exp.refusal import Refusal

UNKNOWN = -1
Colour = tuple[int, ...]
BLACK: Colour = (0, 0, 0)
ADVICE = "say which colour is which class: dataset.palette=[[red,green,blue],…], or save masks of class numbers"
Array = np.ndarray[Any, Any]


class Reading(NamedTuple):
    """The classes in a mask file, and how they were found."""

    classes: np.ndarray[Any, np.dtype[np.uint8]]
    """(H, W), VOID_BYTE where the file says so"""
    by: Literal["numbers", "colours", "either"]
    """what counted; either, where both say the same or there is no choice"""
    legend: dict[int, Colour]
    """number → colour, where the numbers of an indexed file counted"""


class Checked(NamedTuple):
    """What was found in a mask file."""

    path: Path
    classes: set[int]
    """void is VOID_BYTE"""
    by: str
    legend: dict[int, Colour]
    """as in Reading"""


def decide(
    by_number: Array, by_colour: Array | None, prefer_colours: bool
) -> tuple[Array, Literal["numbers", "colours", "either"]] | None:
    """The classes of a file's values, (n,), from two readings that can both have UNKNOWN; None if neither will do.

    Args:
        prefer_colours: where both will do and differ, colours count.
    """
    numbers_do = not (by_number == UNKNOWN).any()
    if by_colour is None:
        return (by_number, "either") if numbers_do else None
    known = by_colour != UNKNOWN
    agree = bool((by_colour == by_number)[known].all())
    if known.all() and (prefer_colours or not numbers_do):
        return by_colour, "either" if numbers_do and agree else "colours"
    if numbers_do and (agree or not prefer_colours):
        return by_number, "either" if agree else "numbers"
    return None


def all_grey(colours: Iterable[Colour]) -> bool:
    """Tell whether each colour has as much red as green and blue."""
    return all(len(set(colour)) == 1 for colour in colours)


def used(numbers: Array) -> Array:
    """The different values of an array, ascending."""
    if numbers.dtype == np.uint8:
        return np.flatnonzero(np.bincount(numbers.ravel(), minlength=256))
    return np.unique(numbers)


def looked_up(numbers: Array, values: Array, classes: Array) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The classes (n,) of ascending values (n,), at each number of an array."""
    if numbers.dtype == np.uint8:
        table = np.zeros(256, dtype=np.uint8)
        table[values] = classes
        return table[numbers]
    return classes.astype(np.uint8)[np.searchsorted(values, numbers)]


def numbers_of(mask: Image.Image) -> Array:
    """The values of a file with one channel, as they stand in it.

    Raises:
        ValueError: if these are fractions.
    """
    if mask.mode == "F":
        raise ValueError("its pixels are fractions; save whole numbers")
    numbers = np.asarray(mask)
    if numbers.dtype == np.bool_:
        return numbers.astype(np.uint8)
    if maxval := mask.info.get(MAXVAL):  # Pillow has scaled a PGM file's numbers
        return np.rint(numbers * (maxval / (255 if mask.mode == "L" else 65535))).astype(np.int32)
    return numbers


def palette_of(mask: Image.Image, background: Sequence[int]) -> list[Colour]:
    """The colours of an indexed file as they are seen: transparent ones but black are the background."""
    parts = mask.getpalette("RGBA") or [part for n in range(256) for part in (n, n, n, 255)]
    colours = np.array(parts).reshape(-1, 4)
    hidden = mask.info.get("transparency")
    if isinstance(hidden, bytes):
        colours[: len(hidden), 3] = list(hidden)[: len(colours)]
    elif isinstance(hidden, int) and hidden < len(colours):
        colours[hidden, 3] = 0
    alpha = colours[:, 3:] / 255
    seen = np.rint(alpha * colours[:, :3] + (1 - alpha) * np.array(background)).astype(int)
    seen[(colours == 0).all(1)] = 0
    return [tuple(colour) for colour in seen.tolist()]


def refuse_disagreement(masks: Iterable[Checked], void: int | None = None) -> None:
    """Refuse masks that contradict one another.

    Args:
        void: the number in the files that is no class's.

    Raises:
        Refusal: if some files of a data set can be read by numbers only and others by colours only, if palettes of
            files that are read by numbers say different things, or if their colours look as if a program had ordered
            them: greys that don't rise with their numbers, or black that isn't the first class.
    """
    first: dict[str, Path] = {}
    colours: dict[int, tuple[Colour, Path]] = {}
    numbers: dict[Colour, tuple[int, Path]] = {}
    for path, _, by, legend in masks:
        first.setdefault(by, path)
        times = Counter(legend.values())
        for number, colour in legend.items():
            shown, other = colours.setdefault(number, (colour, path))
            meant, another = numbers.setdefault(colour, (number, path)) if times[colour] == 1 else (number, path)
            if shown != colour:
                raise Refusal(
                    f"The palettes of {other} and {path} disagree: the number {number} is {list(shown)} in the one and "
                    f"{list(colour)} in the other; {ADVICE}."
                )
            if meant != number:
                raise Refusal(
                    f"The palettes of {another} and {path} disagree: {list(colour)} is the number {meant} in the one "
                    f"and {number} in the other; {ADVICE}."
                )
    if "numbers" in first and "colours" in first:
        raise Refusal(
            f"{first['colours']} says the classes by the colours of its palette, but {first['numbers']} by numbers; "
            f"{ADVICE}."
        )
    shades = [colours[number][0] for number in sorted(colours) if number != void]
    if all_grey(shades) and any(a > b for a, b in pairwise(shades)):
        order = ", ".join(str(list(shade)) for shade in shades[:5])
        raise Refusal(
            f"The palette of {colours[min(colours)][1]} has greys that don't rise with their numbers ({order}), so the "
            f"greys may be the classes, or the numbers; {ADVICE}."
        )
    black = [number for number, (colour, _) in colours.items() if colour == BLACK and number != void]
    if black and 0 not in black:
        raise Refusal(
            f"Black is the number {black[0]} in the palette of {colours[black[0]][1]}. It is nearly always class 0, so "
            f"the program that wrote the file may have chosen the order of the colours; {ADVICE}."
        )


def numbers_said(masks: Iterable[Checked]) -> str:
    """Return which number has which colour, where masks with a palette are read by their numbers; "" if none is."""
    colours = {number: colour for mask in masks for number, colour in mask.legend.items()}
    if all_grey(colours.values()):
        return ""
    return ", ".join(f"{number} {list(colours[number])}" for number in sorted(colours))

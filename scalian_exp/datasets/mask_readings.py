"""Decide how to read a mask file, and check that all files of a data set are read alike."""

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
ADVICE = "give the classes' colours: dataset.palette=[[red,green,blue],…], or save masks of class numbers"
Array = np.ndarray[Any, Any]


class Reading(NamedTuple):
    """The classes in a mask file, and what they were decoded from."""

    classes: np.ndarray[Any, np.dtype[np.uint8]]
    """Class of each pixel (H, W); VOID_BYTE for void."""
    by: Literal["numbers", "colours", "either"]
    """Source of the classes in the file; "either" if both agree or there is no choice."""
    legend: dict[int, Colour]
    """Number → colour, if the numbers of an indexed file were used."""


class Checked(NamedTuple):
    """Summary of a mask file: which classes it has, and what they were decoded from."""

    path: Path
    classes: set[int]
    """The classes that occur; void is VOID_BYTE."""
    by: str
    """Source of the classes in the file: "numbers", "colours" or "either"."""
    legend: dict[int, Colour]
    """Number → colour, if the numbers of an indexed file were used."""


def decide(
    by_number: Array, by_colour: Array | None, prefer_colours: bool
) -> tuple[Array, Literal["numbers", "colours", "either"]] | None:
    """Choose between two readings of a file's n values; None if neither is complete.

    Args:
        by_number: classes (n,) by number, UNKNOWN where a number denotes none.
        by_colour: classes (n,) by colour, likewise; None if colours carry no information.
        prefer_colours: colours win where both readings are complete and differ.
    """
    numbers_complete = not (by_number == UNKNOWN).any()
    if by_colour is None:
        return (by_number, "either") if numbers_complete else None
    known = by_colour != UNKNOWN
    agree = bool((by_colour == by_number)[known].all())
    if known.all() and (prefer_colours or not numbers_complete):
        return by_colour, "either" if numbers_complete and agree else "colours"
    if numbers_complete and (agree or not prefer_colours):
        return by_number, "either" if agree else "numbers"
    return None


def all_grey(colours: Iterable[Colour]) -> bool:
    """Return whether every colour is a grey."""
    return all(len(set(colour)) == 1 for colour in colours)


def used(numbers: Array) -> Array:
    """Return the distinct values of an array, ascending."""
    if numbers.dtype == np.uint8:
        return np.flatnonzero(np.bincount(numbers.ravel(), minlength=256))
    return np.unique(numbers)


def looked_up(numbers: Array, values: Array, classes: Array) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Replace each number of an array by its class, given ascending values (n,) and their classes (n,)."""
    if numbers.dtype == np.uint8:
        table = np.zeros(256, dtype=np.uint8)
        table[values] = classes
        return table[numbers]
    return classes.astype(np.uint8)[np.searchsorted(values, numbers)]


def numbers_of(mask: Image.Image) -> Array:
    """Return the values of a file with one channel, exactly as they are stored.

    Raises:
        ValueError: if they are fractions.
    """
    if mask.mode == "F":
        raise ValueError("its pixels are fractions; save integers")
    numbers = np.asarray(mask)
    if numbers.dtype == np.bool_:
        return numbers.astype(np.uint8)
    if maxval := mask.info.get(MAXVAL):  # Pillow has scaled a PGM file's numbers
        return np.rint(numbers * (maxval / (255 if mask.mode == "L" else 65535))).astype(np.int32)
    return numbers


def palette_of(mask: Image.Image, background: Sequence[int]) -> list[Colour]:
    """Return the visible colours of an indexed file: on the background where transparent, except transparent black."""
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
    """Refuse masks that contradict each other.

    Args:
        masks: summaries of all files.
        void: the number in the files that denotes void.

    Raises:
        Refusal: if some files can only be decoded by numbers and others only by colours, if the palettes of files
            decoded by numbers differ, or if their colours seem to be ordered by a program: greys that don't increase
            with their numbers, or black that isn't the first class.
    """
    first: dict[str, Path] = {}
    colours: dict[int, tuple[Colour, Path]] = {}
    numbers: dict[Colour, tuple[int, Path]] = {}
    for path, _, by, legend in masks:
        first.setdefault(by, path)
        times = Counter(legend.values())
        for number, colour in legend.items():
            first_colour, other = colours.setdefault(number, (colour, path))
            first_number, another = numbers.setdefault(colour, (number, path)) if times[colour] == 1 else (number, path)
            if first_colour != colour:
                raise Refusal(
                    f"The palettes of {other} and {path} disagree: the number {number} is {list(first_colour)} in the "
                    f"first and {list(colour)} in the second; {ADVICE}."
                )
            if first_number != number:
                raise Refusal(
                    f"The palettes of {another} and {path} disagree: {list(colour)} is the number {first_number} in "
                    f"the first and {number} in the second; {ADVICE}."
                )
    if "numbers" in first and "colours" in first:
        raise Refusal(
            f"{first['colours']} encodes the classes in the colours of its palette, but {first['numbers']} in numbers; "
            f"{ADVICE}."
        )
    shades = [colours[number][0] for number in sorted(colours) if number != void]
    if all_grey(shades) and any(a > b for a, b in pairwise(shades)):
        order = ", ".join(str(list(shade)) for shade in shades[:5])
        raise Refusal(
            f"The palette of {colours[min(colours)][1]} has greys that don't increase with their numbers ({order}), so "
            f"either the greys or the numbers may be the classes; {ADVICE}."
        )
    black = [number for number, (colour, _) in colours.items() if colour == BLACK and number != void]
    if black and 0 not in black:
        raise Refusal(
            f"Black is the number {black[0]} in the palette of {colours[black[0]][1]}. It is nearly always class 0, so "
            f"the program that wrote the file may have chosen the order of the colours; {ADVICE}."
        )


def legend_of(masks: Iterable[Checked]) -> str:
    """List the colour of each number in indexed masks decoded by number, for a message; "" if there are none."""
    colours = {number: colour for mask in masks for number, colour in mask.legend.items()}
    if all_grey(colours.values()):
        return ""
    return ", ".join(f"{number} {list(colours[number])}" for number in sorted(colours))

"""What a mask file says: numbers, palettes or colours → classes.

An indexed file says it twice: by numbers, and by the colours that its palette gives them. Programs that order palettes
themselves (GIF, pictures of few colours) change the numbers and keep the colours; annotation tools keep the numbers and
choose any colours. So colours count where they are the classes' own: those of dataset.palette, black and white for two
classes, or greys that are class numbers. Else numbers count, and all files must give a number the same colour. Whoever
writes a GIF file orders its colours, so there numbers count only if nothing but black and one colour needs an order.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scalian_exp.batches import VOID_BYTE
from scalian_exp.datasets.image_files import WHITE, on_background
from scalian_exp.datasets.mask_readings import (
    ADVICE,
    BLACK,
    UNKNOWN,
    Array,
    Colour,
    Reading,
    all_grey,
    decide,
    looked_up,
    numbers_of,
    palette_of,
    used,
)
from scalian_exp.refusal import Refusal

GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's names of modes whose pixels are numbers"""


class Classes:
    """Mask files → classes: uint8 (H, W), VOID_BYTE where the file says so.

    Args:
        palette: colours of the classes; one more is void's, if ignore_index is num_classes.
        numbers: number in the files → class, where they differ.
        background: red, green, blue behind transparent pixels.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        numbers: Mapping[int, int] | None = None,
        background: Sequence[int] = WHITE,
    ):
        self.num_classes, self.ignore_index, self.background = num_classes, ignore_index, background
        self.table = np.full(257, UNKNOWN, dtype=np.int16)  # the last is for numbers that a byte can't hold
        for number, found in (numbers or {n: n for n in range(256)}).items():
            if found == ignore_index:
                self.table[number] = VOID_BYTE
            elif found < num_classes:
                self.table[number] = found
        self.colours = {tuple(colour): int(self.table[number]) for number, colour in enumerate(palette or [])}

    def __call__(self, mask: Image.Image, path: Path) -> Reading:
        """
        Raises:
            Refusal: if the file has numbers or colours that are no classes.
            ValueError: if it has no whole numbers.
        """
        if mask.mode in ("P", "PA"):
            return self.of_indices(mask, path)
        mask = self.opaque(mask)
        if mask.mode in GREY:
            return self.of_grey(numbers_of(mask), path, 255 if mask.mode == "1" else 1)
        colours = np.asarray(mask.convert("RGB"))
        if not self.colours and (colours == colours[..., :1]).all():
            return self.of_grey(colours[..., 0], path)
        return Reading(self.of_colours(colours, path), "either", {})

    def opaque(self, mask: Image.Image) -> Image.Image:
        """A mask without alpha. Transparent black, which programs write where nothing is, is black if that is a class's
        colour, or if colours aren't asked for; what else is transparent shows the background."""
        if mask.mode not in ("RGBA", "RGBa", "LA", "La"):
            return mask
        grey = mask.mode in ("LA", "La")
        pixels = np.asarray(mask.convert("LA" if grey else "RGBA"))
        alpha, hidden = pixels[..., -1], pixels[..., :-1][pixels[..., -1] == 0]
        black = grey or not len(hidden) or not self.colours or BLACK in self.colours
        if np.isin(alpha, (0, 255)).all() and not hidden.any() and black:
            return mask.convert("L" if grey else "RGB")
        return on_background(mask, self.background).convert("L" if grey else "RGB")

    def of_number(self, numbers: Array) -> Array:
        """Classes of numbers, UNKNOWN where there is none; two classes may be 0 and 255, black and white."""
        if self.num_classes == 2 and self.ignore_index != 255 and not (numbers % 255).any():
            numbers = numbers // 255
        return self.table[np.clip(numbers.astype(np.int32), -1, 256)]

    def of_colour(self, colours: Iterable[Colour]) -> Array:
        """Classes of colours by dataset.palette, UNKNOWN where there is none."""
        return np.array([self.colours.get(colour, UNKNOWN) for colour in colours], dtype=np.int16)

    def of_grey(self, numbers: Array, path: Path, brightness: int = 1) -> Reading:
        """Of an image of one channel: class numbers, or greys of dataset.palette, which count more if it has no others.

        Args:
            brightness: grey value for each number.
        """
        values = used(numbers)
        by_number = by_colour = self.of_number(values)
        if self.colours:
            by_colour = self.of_colour((brightness * value,) * 3 for value in values.tolist())
        decided = decide(by_number, by_colour, all_grey(self.colours))
        if decided is None and (by_number == UNKNOWN).any():
            raise Refusal(self.no_class(values[by_number == UNKNOWN][0], path))
        if decided is None:
            raise Refusal(self.no_colour((brightness * int(values[by_colour == UNKNOWN][0]),) * 3, path))
        return Reading(looked_up(numbers, values, decided[0]), decided[1], {})

    def of_indices(self, mask: Image.Image, path: Path) -> Reading:
        """Of a file with a palette."""
        numbers = np.asarray(mask.getchannel(0) if mask.mode == "PA" else mask)
        values, palette = used(numbers), palette_of(mask, self.background)
        colours = [palette[value] if value < len(palette) else BLACK for value in values.tolist()]
        by_number = self.table[values]
        by_colour, prefer_colours = self.of_palette(by_number, colours, palette)
        decided = decide(by_number, by_colour, prefer_colours)
        if decided is None and self.colours:
            raise Refusal(self.no_colour(next(colour for colour in colours if colour not in self.colours), path))
        if decided is None:
            wrong = values[by_number == UNKNOWN]
            what = self.no_class(wrong[0], path) if len(wrong) else f"{path} says other classes by its palette's greys."
            raise Refusal(f"{what} If the colours of its palette are the classes, {ADVICE}.")
        found, by = decided
        if by_colour is None and mask.format == "GIF" and len({*colours} - {BLACK}) > 1 and not all_grey(colours):
            raise Refusal(
                f"{path} has the colours {', '.join(str(list(colour)) for colour in colours[:5])} in the order that "
                f"the program chose which wrote the GIF file, so its numbers need not be the classes; {ADVICE}."
            )
        unsaid = by != "colours" and (by_colour is None or UNKNOWN in by_colour)
        legend = dict(zip(values.tolist(), colours, strict=True)) if unsaid else {}
        return Reading(looked_up(numbers, values, found), "numbers" if by_colour is None else by, legend)

    def of_palette(
        self, by_number: Array, colours: Sequence[Colour], palette: Sequence[Colour]
    ) -> tuple[Array | None, bool]:
        """Classes of the colours in an indexed file, None where they say nothing; and whether they count more than its
        numbers.

        Args:
            by_number: classes of the numbers in the file, (n,).
            colours: of these numbers, n.
            palette: all colours, also those that the file doesn't use.
        """
        void = by_number == VOID_BYTE
        if self.colours:
            found = self.of_colour(colours)
            return np.where((found == UNKNOWN) & void, VOID_BYTE, found), True
        if len(set(colours)) < len(colours) or not all_grey(colours):
            return None, False
        if self.num_classes == 2 and (set(palette) <= {BLACK, WHITE} or set(colours) == {BLACK, WHITE}):
            return np.where(void, VOID_BYTE, np.array([colour == WHITE for colour in colours])), True
        greys = np.array([colour[0] for colour in colours])
        return self.of_number(greys), all_grey(palette)

    def of_colours(self, colours: Array, path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Of (H, W, 3)."""
        if not self.colours:
            raise Refusal(
                f"{path} is in colours; say which class has which: dataset.palette=[[red,green,blue],…], or save masks "
                "with one channel of class numbers."
            )
        found = np.full(colours.shape[:2], UNKNOWN, dtype=np.int16)
        for colour, number in self.colours.items():
            found[(colours == np.array(colour)).all(-1)] = number
        if (unknown := found == UNKNOWN).any():
            raise Refusal(self.no_colour(colours[unknown][0].tolist(), path))
        return found.astype(np.uint8)

    def no_class(self, number: int, path: Path) -> str:
        """That a file has a number which is no class's."""
        void = "" if self.ignore_index is None else f" and not void ({self.ignore_index})"
        lossy = " (JPEG alters numbers: save masks as PNG)" if path.suffix.lower() in (".jpg", ".jpeg") else ""
        return (
            f"{path} has the number {number}, which is none of the {self.num_classes} classes{void}; "
            f"correct the file{lossy}, dataset.num_classes or dataset.ignore_index."
        )

    def no_colour(self, colour: Sequence[int], path: Path) -> str:
        """That a file has a colour which is no class's."""
        return (
            f"{path} has the colour {list(colour)}, which is no class's in dataset.palette; add or correct it "
            f"(void's comes last, with dataset.ignore_index={self.num_classes})."
        )

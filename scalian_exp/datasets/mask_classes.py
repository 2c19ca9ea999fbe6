"""Decode the classes in a mask file from its numbers, its palette or its colours.

An indexed file encodes classes twice: by numbers, and by the colours that its palette gives them. Programs that reorder
palettes (GIF, pictures with few colours) change the numbers and keep the colours; annotation tools keep the numbers and
choose arbitrary colours. So colours take precedence where they are known to denote classes: those of dataset.palette,
black and white for two classes, or greys that are class numbers. Otherwise numbers count, and all files must give a
number the same colour. Programs that write GIF files reorder the colours, so a GIF file's numbers count only if the
order can't matter: with black and at most one other colour.
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
"""Pillow's modes with one channel of numbers."""


class Classes:
    """Decoder from opened mask files to classes (H, W), uint8, with VOID_BYTE for void.

    Args:
        num_classes: K; the classes are 0 … K−1.
        ignore_index: number of void in the files.
        palette: the classes' colours in order; with ignore_index equal to num_classes, void's may follow.
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
        self.table = np.full(257, UNKNOWN, dtype=np.int16)  # the last entry is for numbers that exceed a byte
        for number, label in (numbers or {n: n for n in range(256)}).items():
            if label == ignore_index:
                self.table[number] = VOID_BYTE
            elif label < num_classes:
                self.table[number] = label
        self.colours = {tuple(colour): int(self.table[number]) for number, colour in enumerate(palette or [])}

    def __call__(self, mask: Image.Image, path: Path) -> Reading:
        """Decode a mask's classes.

        Raises:
            Refusal: if the file has numbers or colours that don't denote a class.
            ValueError: if its pixels are not integers.
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
        """Remove a mask's alpha channel.

        Transparent black, which programs write where nothing is drawn, becomes black if that is a class's colour or if
        there is no palette; any other transparent pixel shows the background.
        """
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
        """Map numbers to classes, UNKNOWN where there is none; two classes may also be encoded as 0 and 255."""
        if self.num_classes == 2 and self.ignore_index != 255 and not (numbers % 255).any():
            numbers = numbers // 255
        return self.table[np.clip(numbers.astype(np.int32), -1, 256)]

    def of_colour(self, colours: Iterable[Colour]) -> Array:
        """Map colours to classes by dataset.palette, UNKNOWN where there is none."""
        return np.array([self.colours.get(colour, UNKNOWN) for colour in colours], dtype=np.int16)

    def of_grey(self, numbers: Array, path: Path, brightness: int = 1) -> Reading:
        """Decode a mask of one channel: class numbers, or greys of dataset.palette, preferred if it has greys only.

        Args:
            numbers: pixel values (H, W).
            path: the file, for messages.
            brightness: grey value per unit of the numbers.
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
        """Decode an indexed mask."""
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
            what = f"{path} has numbers and greys in its palette that denote different classes."
            what = self.no_class(wrong[0], path) if len(wrong) else what
            raise Refusal(f"{what} If the colours of its palette are the classes, {ADVICE}.")
        classes, by = decided
        if by_colour is None and mask.format == "GIF" and len({*colours} - {BLACK}) > 1 and not all_grey(colours):
            raise Refusal(
                f"{path} has the colours {', '.join(str(list(colour)) for colour in colours[:5])} in an order chosen "
                f"by the program that wrote the GIF file, so its numbers need not be the classes; {ADVICE}."
            )
        by_number_alone = by != "colours" and (by_colour is None or UNKNOWN in by_colour)
        legend = dict(zip(values.tolist(), colours, strict=True)) if by_number_alone else {}
        return Reading(looked_up(numbers, values, classes), "numbers" if by_colour is None else by, legend)

    def of_palette(
        self, by_number: Array, colours: Sequence[Colour], palette: Sequence[Colour]
    ) -> tuple[Array | None, bool]:
        """Decode the colours of an indexed file: their classes (n,) or None, and whether to prefer them to the numbers.

        Args:
            by_number: classes of the numbers used in the file, (n,).
            colours: colours of these numbers, n.
            palette: the complete palette, including colours that the file doesn't use.
        """
        void = by_number == VOID_BYTE
        if self.colours:
            classes = self.of_colour(colours)
            return np.where((classes == UNKNOWN) & void, VOID_BYTE, classes), True
        if len(set(colours)) < len(colours) or not all_grey(colours):
            return None, False
        if self.num_classes == 2 and (set(palette) <= {BLACK, WHITE} or set(colours) == {BLACK, WHITE}):
            return np.where(void, VOID_BYTE, np.array([colour == WHITE for colour in colours])), True
        greys = np.array([colour[0] for colour in colours])
        return self.of_number(greys), all_grey(palette)

    def of_colours(self, colours: Array, path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Decode a mask of colours (H, W, 3) to classes (H, W) by dataset.palette."""
        if not self.colours:
            raise Refusal(
                f"{path} is in colours; give the classes' colours: dataset.palette=[[red,green,blue],…], or save masks "
                "with one channel of class numbers."
            )
        classes = np.full(colours.shape[:2], UNKNOWN, dtype=np.int16)
        for colour, number in self.colours.items():
            classes[(colours == np.array(colour)).all(-1)] = number
        if (unknown := classes == UNKNOWN).any():
            raise Refusal(self.no_colour(colours[unknown][0].tolist(), path))
        return classes.astype(np.uint8)

    def no_class(self, number: int, path: Path) -> str:
        """Return the message about a number that denotes no class."""
        void = "" if self.ignore_index is None else f" and not void ({self.ignore_index})"
        lossy = " (JPEG alters numbers: save masks as PNG)" if path.suffix.lower() in (".jpg", ".jpeg") else ""
        return (
            f"{path} has the number {number}, which is not one of the {self.num_classes} classes{void}; "
            f"correct the file{lossy}, dataset.num_classes or dataset.ignore_index."
        )

    def no_colour(self, colour: Sequence[int], path: Path) -> str:
        """Return the message about a colour that denotes no class."""
        return (
            f"{path} has the colour {list(colour)}, which is not in dataset.palette; add or correct it "
            f"(void's colour comes last, with dataset.ignore_index={self.num_classes})."
        )

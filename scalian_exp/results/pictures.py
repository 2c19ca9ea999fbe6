"""The figures of runs as a page holds them: every drawn epoch's, shrunk if they are many."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from scalian_exp.folders import FIGURES, epochs_drawn

AS_THEY_ARE = 8_000_000
"""bytes of PNG files that a page holds unchanged; of more, each is shrunk"""
WIDTH, QUALITY = 560, 78
"""pixels of a shrunk picture, and its quality as WebP"""
MOST_PICTURES, MOST_BYTES = 600, 15_000_000
"""of shrunk pictures; others are left out"""


class Drawn(NamedTuple):
    """A figure of a run."""

    kind: str
    """name of its file, such as val_samples"""
    run: int
    """number of the run"""
    epoch: int
    """after which it was drawn; 0 if that isn't known, as of the test's"""
    file: Path


def drawn(runs: Sequence[Path]) -> list[Drawn]:
    """Return all figures that the runs keep, in the order of runs, names and epochs."""
    found = []
    for number, run in enumerate(runs):
        places = epochs_drawn(run)
        for file in sorted((run / FIGURES).glob("*.png")):
            kept = [
                Drawn(file.stem, number, epoch, place / file.name)
                for epoch, place in places.items()
                if (place / file.name).is_file()
            ]
            found += kept or [Drawn(file.stem, number, 0, file)]
    return found


def pictures(runs: Sequence[Path]) -> dict[str, Any]:
    """Return the figures as JSON for a page.

    Returns:
        `kinds`, each with its `name` and with `runs`: number of a run → pairs of an epoch and a number of a picture;
        `pictures`, as URLs that hold their data; and `note`, what was shrunk or left out.
    """
    found = drawn(runs)
    total = sum(figure.file.stat().st_size for figure in found)
    urls = {figure: as_it_is(figure.file) for figure in found} if total <= AS_THEY_ARE else shrunk(found)
    kinds: dict[str, dict[int, list[tuple[int, int]]]] = {}
    for number, figure in enumerate(figure for figure in found if figure in urls):
        kinds.setdefault(figure.kind, {}).setdefault(figure.run, []).append((figure.epoch, number))
    order = sorted(kinds, key=lambda kind: not kind.startswith("val_"))
    notes = (
        [] if total <= AS_THEY_ARE else [f"Pictures are shrunk to {WIDTH} pixels; the runs' folders have them in full."]
    )
    if missing := len(found) - len(urls):
        notes.append(f"{missing} of {len(found)} are left out, early epochs' first.")
    return {
        "kinds": [{"name": kind, "runs": kinds[kind]} for kind in order],
        "pictures": [urls[figure] for figure in found if figure in urls],
        "note": " ".join(notes),
    }


def as_it_is(file: Path) -> str:
    """Return a PNG file as a URL that holds its data."""
    return url("png", file.read_bytes())


def url(kind: str, data: bytes) -> str:
    """Return an image as a URL that holds its data."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def shrunk(found: Sequence[Drawn]) -> dict[Drawn, str]:
    """Return as many figures as there is room for, each shrunk: the latest of every run first."""
    age: dict[Drawn, int] = {}
    later: dict[tuple[str, int], int] = {}
    for figure in reversed(found):
        age[figure] = later[figure.kind, figure.run] = later.get((figure.kind, figure.run), -1) + 1
    urls: dict[Drawn, str] = {}
    size = 0
    for figure in sorted(found, key=lambda figure: age[figure])[:MOST_PICTURES]:
        text = small(figure.file)
        size += len(text)
        if size > MOST_BYTES:
            break
        urls[figure] = text
    return urls


def small(file: Path) -> str:
    """Return an image file, at most WIDTH pixels wide, as a URL that holds its data."""
    with Image.open(file) as image:
        picture = image.convert("RGB")
    if picture.width > WIDTH:
        picture = picture.resize(
            (WIDTH, max(1, picture.height * WIDTH // picture.width)), Image.Resampling.BICUBIC, reducing_gap=2
        )
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=QUALITY, method=1)
    return url("webp", data.getvalue())

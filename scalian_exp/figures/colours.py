"""Colours that readers with any colour vision can tell apart, and how classes are told apart that outnumber them."""

from typing import NamedTuple

DISTINCT = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadb"),
)
"""ten colours (Petroff 2021, arXiv:2107.02270)"""
BLUE, ORANGE = "#0072b2", "#d55e00"
"""two opposites (Okabe & Ito 2008)"""
SHAPES = "osD^vPX<>*"


class Marker(NamedTuple):
    """How the points of a class are drawn."""

    colour: str
    shape: str


def marker(number: int) -> Marker:
    """Return the marker of a class: ten colours with a circle, then the same with a square, and so on."""
    shape, colour = divmod(number, len(DISTINCT))
    return Marker(DISTINCT[colour], SHAPES[shape % len(SHAPES)])

"""Descriptions in words of the needs that configs state, of networks and of data. Imports no torch."""

from collections.abc import Iterable

MEANINGS = {
    "encode": "an encoder, which gives codes",
    "decode": "a decoder of codes",
    "complete": "a network that completes images",
    "drawing": "a network that draws in several steps",
    "effects": "features of items that add up to ratings",
    "exported": "a network that maps images to logits",
    "filters": "filters that can be shown as images",
    "layer_codes": "features of several layers trained one after another",
    "negative_log_likelihood": "a likelihood of images, exact or bounded",
    "next_pixel": "a distribution of each pixel given those before it",
    "num_classes": "classes that it tells apart",
    "sample": "samples drawn from the model",
    "images": "images",
    "masks": "masks, a class for each pixel",
    "labels": "labels",
    "texts": "texts",
    "ratings": "ratings",
    "levels": "ratings on a scale of few levels",
    "unit_range": "pixels from 0 to 1",
    "binary": "pixels that are black or white",
}
"""need → what it is"""


def in_words(needs: Iterable[str]) -> str:
    """List needs in words; those of a user's own configs as they are."""
    return " and ".join(MEANINGS.get(need, need) for need in needs)

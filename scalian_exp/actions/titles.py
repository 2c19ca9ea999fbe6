"""Titles as people write them → items."""

import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from scalian_exp.refusal import Refusal

ARTICLES = r"the|a|an|le|la|les|il|el|der|die|das"
SHOWN = 3
"""titles that a sentence suggests"""


class Name(NamedTuple):
    words: str
    """in small letters, without accents, punctuation and a leading or trailing article"""
    year: str
    """or nothing"""


def name(title: str) -> Name:
    """ "Matrix, The (1999)" and "the matrix" → the same words."""
    plain = unicodedata.normalize("NFKD", title.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).replace("&", " and ")
    words, year = re.match(r"(.*?)\s*(?:\((\d{4})[^()]*\))?\s*$", plain, re.DOTALL).groups()  # type: ignore[union-attr]
    words = re.sub(rf",\s*(?:{ARTICLES})\b", "", words)
    words = " ".join(re.findall(r"\w+", words.replace("'", "")))
    return Name(re.sub(rf"^(?:{ARTICLES}) (?=\S)", "", words), year or "")


def find(said: str, titles: Sequence[str], counts: Sequence[float]) -> int:
    """The item that somebody means: by its words, with or without the year, or by some of them if no other has these.

    Args:
        said: what was written.
        titles: of all items.
        counts: ratings of each item: of several with one title, the most rated is meant.

    Raises:
        Refusal: if there is none, with those that are written nearly so; or if there are several.
    """
    words, year = name(said)
    names = [name(title) for title in titles]
    possible = [item for item, other in enumerate(names) if not year or other.year in ("", year)]
    found = [item for item in possible if names[item].words == words]
    if not found and words:
        found = [item for item in possible if re.search(rf"\b{re.escape(words)}\b", names[item].words)]
    found.sort(key=lambda item: -counts[item])
    different = list({names[item]: titles[item] for item in reversed(found)}.values())[::-1]
    if len(different) > 1:
        more = f" and {len(different) - SHOWN} others" if len(different) > SHOWN else ""
        raise Refusal(f"{said!r} may be {', '.join(different[:SHOWN])}{more}; write which.")
    if not found:
        by_words = {other.words: title for other, title in zip(names, titles, strict=True)}
        near = [by_words[close] for close in get_close_matches(words, by_words, n=SHOWN, cutoff=0.75)]
        advice = f"none of the {len(titles)} is written nearly so."
        if near:
            advice = f"did you mean {' or '.join(near)}?"
        elif "," in said:
            advice = "divide titles by semicolons, or correct it."
        raise Refusal(f"There is no title {said!r}; {advice}")
    return found[0]

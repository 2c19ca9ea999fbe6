"""Match titles that users write freely to items."""

import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from scalian_exp.refusal import Refusal

ARTICLES = r"the|a|an|le|la|les|il|el|der|die|das"
SHOWN = 3
"""Most titles suggested in a message."""


class Name(NamedTuple):
    """A title's words and year, normalised for comparison."""

    words: str
    """Lower case, without accents, punctuation and a leading or trailing article."""
    year: str
    """Four digits, or empty."""


def name(title: str) -> Name:
    """Normalise a title: "Matrix, The (1999)" and "the matrix" have the same words."""
    letters = unicodedata.normalize("NFKD", title.casefold())
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter)).replace("&", " and ")
    words, year = re.match(r"(.*?)\s*(?:\((\d{4})[^()]*\))?\s*$", letters, re.DOTALL).groups()  # type: ignore[union-attr]
    words = re.sub(rf",\s*(?:{ARTICLES})\b", "", words)
    words = " ".join(re.findall(r"\w+", words.replace("'", "")))
    return Name(re.sub(rf"^(?:{ARTICLES}) (?=\S)", "", words), year or "")


def find(query: str, titles: Sequence[str], counts: Sequence[float]) -> list[int]:
    """Return the items whose title a query gives, with or without its year; an unambiguous part is enough.

    There are several only if they share this title, as a film that is in the data twice.

    Args:
        query: the title as the user wrote it.
        titles: titles of all items.
        counts: number of ratings of each item; the most rated comes first.

    Raises:
        Refusal: if no title matches, suggesting similar ones, or if several do.
    """
    words, year = name(query)
    names = [name(title) for title in titles]
    possible = [item for item, other in enumerate(names) if not year or other.year in ("", year)]
    matches = [item for item, title in enumerate(titles) if title.casefold() == query.casefold()]
    if not matches and words:
        matches = [item for item in possible if names[item].words == words]
    if not matches and words:
        matches = [item for item in possible if re.search(rf"\b{re.escape(words)}\b", names[item].words)]
    matches.sort(key=lambda item: -counts[item])
    different = list({titles[item].casefold(): titles[item] for item in matches}.values())
    if len(different) > 1:
        more = f" and {len(different) - SHOWN} others" if len(different) > SHOWN else ""
        raise Refusal(f"{query!r} may be {', '.join(different[:SHOWN])}{more}; write which one.")
    if not matches:
        by_words = {other.words: title for other, title in zip(names, titles, strict=True)}
        near = [by_words[close] for close in get_close_matches(words, by_words, n=SHOWN, cutoff=0.75)]
        advice = f"none of the {len(titles)} titles is similar."
        if near:
            advice = f"did you mean {' or '.join(near)}?"
        elif "," in query:
            advice = "separate titles by semicolons, or correct it."
        raise Refusal(f"There is no title {query!r}; {advice}")
    return matches


def separated(text: str, titles: Sequence[str]) -> list[str]:
    """Split what a user wrote at semicolons, but not within a title that has some and is written out."""
    whole = {title.casefold() for title in titles if ";" in title}
    parts, found = text.split(";"), []
    while parts:
        joined = {count: ";".join(parts[:count]).strip() for count in range(len(parts), 0, -1)}
        taken = next((count for count, title in joined.items() if title.casefold() in whole), 1)
        found.append(joined[taken])
        parts = parts[taken:]
    return [title for title in found if title]


def sharing(items: Sequence[int], titles: Sequence[str], ids: Sequence[str]) -> str:
    """Explain that several items share a title, and by which ids they differ."""
    numbers = [ids[item] for item in sorted(items)]
    return (
        f"{titles[items[0]]} is the title of items {', '.join(numbers[:-1])} and {numbers[-1]}: all of them are taken."
    )


def twins(items: Sequence[int], titles: Sequence[str]) -> list[int]:
    """Return all items with the title of one of these, themselves included."""
    given = {titles[item].casefold() for item in items}
    return [item for item, title in enumerate(titles) if title.casefold() in given]

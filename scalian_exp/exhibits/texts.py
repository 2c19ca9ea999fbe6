"""Texts of a page in French and English, with facts filled in as each language writes them."""

import re
from collections.abc import Callable, Container
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

LANGUAGES = ("fr", "en")
NARROW, NO_BREAK = "\u202f", "\u00a0"
UNITS = r"nats?|bits?|dB|ms|px|%|minutes?|secondes?|seconds?|neurones?|pixels?|paramètres?"


def french(text: str) -> str:
    """Insert the no-break spaces of French typography, and curly apostrophes."""
    text = re.sub(r" ([;?!%])", NARROW + r"\1", text)
    text = re.sub(r" ([:»])", NO_BREAK + r"\1", text)
    return english(re.sub(r"« ", "«" + NO_BREAK, text))


def english(text: str) -> str:
    """Insert no-break spaces between numbers and units, and curly apostrophes outside of HTML tags."""
    text = re.sub(rf"(\d) ({UNITS})\b", r"\1" + NO_BREAK + r"\2", text).replace("N(0, 1)", f"N(0,{NO_BREAK}1)")
    return re.sub(r"'(?![^<]*>)", "’", text)


TYPOGRAPHY: dict[str, Callable[[str], str]] = {"fr": french, "en": english}


def number(value: float, digits: int = 0, *, language: str) -> str:
    """Format a number: decimal comma and spaces in French, a true minus in both languages."""
    text = f"{abs(value):,.{digits}f}"
    if language == "fr":
        text = text.replace(",", NARROW).replace(".", ",")
    return ("−" if value < 0 and text.strip("0,. ") else "") + text


def percent(share: float, digits: int = 0, *, language: str) -> str:
    """Format a fraction as a percentage."""
    return number(100 * share, digits, language=language) + (f"{NARROW}%" if language == "fr" else "%")


def of(text: str, one: str, many: str = "", *, language: str) -> str:
    """Write a noun behind a number that is written out, singular or plural; kit.js does so for scripts' sentences.

    French counts everything below 2 as one ("1,9 nat"), English only "1" ("1.0 nats").

    Args:
        text: the number, as `number` writes it.
        one: the noun.
        many: its plural; with an s if it isn't given.
        language: fr or en.
    """
    digits = "".join(letter for letter in text.replace(",", "." if language == "fr" else "") if letter in "0123456789.")
    single = float(digits) < 2 if language == "fr" else digits == "1"
    return f"{text}{NO_BREAK}{one if single else many or one + 's'}"


def duration(seconds: float, language: str) -> str:
    """Format a duration in hours, minutes or seconds, whichever is the largest that fits."""
    unit, size = next((unit, size) for unit, size in (("h", 3600), ("min", 60), ("s", 0)) if seconds >= size)
    size = max(size, 1)
    return f"{number(seconds / size, 0 if seconds >= 10 * size else 1, language=language)}{NO_BREAK}{unit}"


@cache
def environment(language: str) -> Environment:
    """Return the filters for facts: {{ f.share | pc }}, {{ f.nats | n(1) | of('nat') }}, {{ f.seconds | time }}."""
    result = Environment(undefined=StrictUndefined, autoescape=True)
    result.filters |= {
        "n": partial(number, language=language),
        "pc": partial(percent, language=language),
        "of": partial(of, language=language),
        "time": partial(duration, language=language),
    }
    return result


class Texts:
    """The texts of an exhibit or of the page: {key: {fr: …, en: …}}.

    Templates ask for them by key, with the facts filled in as {{ f.name }}. Those below `words` are for the script,
    which fills in {name} itself.

    Args:
        file: YAML.
        facts: what the texts tell.
        apart: keys of the file that are no texts.

    Raises:
        ValueError: if a text lacks a language.
    """

    def __init__(self, file: Path, facts: dict[str, Any], apart: Container[str] = ()):
        self.file, self.facts = file, facts
        entries: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        self.entries = {key: entry for key, entry in entries.items() if key not in apart}
        self.words: dict[str, Any] = self.entries.pop("words", {})
        for key, entry in (self.entries | self.words).items():
            if not isinstance(key, str):  # YAML reads on, off, yes and no as true and false
                raise ValueError(f"{file}: {key} is no text's name; quote it, or choose another")
            if missing := [language for language in LANGUAGES if not entry.get(language)]:
                raise ValueError(f"{file}: {key} lacks {', '.join(missing)}")
        self.used: set[str] = set()

    def check(self) -> None:
        """Fill the facts into all texts once.

        Raises:
            UndefinedError: if a text tells a fact that isn't there, such as a metric that the run lacks.
        """
        for entry in self.entries.values():
            for language in LANGUAGES:
                for text in entry[language] if isinstance(entry[language], list) else [entry[language]]:
                    self.filled(text, language)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def filled(self, text: str, language: str) -> Markup:
        """Fill the facts into a text, which may contain HTML; facts are escaped."""
        return Markup(TYPOGRAPHY[language](environment(language).from_string(text).render(f=self.facts)))

    def plain(self, key: str, language: str) -> Markup:
        """Return a text in one language."""
        self.used.add(key)
        return self.filled(self.entries[key][language], language)

    def __call__(self, key: str, tag: str = "span") -> Markup:
        """Return a text in all languages; the style sheet hides all but the page's."""
        return Markup("").join(
            Markup(f'<{tag} lang="{language}">{{}}</{tag}>').format(self.plain(key, language)) for language in LANGUAGES
        )

    def items(self, key: str) -> Markup:
        """Return a list of sentences in all languages; empty ones are left out."""
        self.used.add(key)
        result = Markup("")
        for language in LANGUAGES:
            filled = (self.filled(item, language) for item in self.entries[key][language])
            lines = Markup("").join(Markup("<li>{}</li>").format(item) for item in filled if item.strip())
            result += Markup('<ol lang="{}">{}</ol>').format(language, lines)
        return result

    def spoken(self) -> dict[str, dict[str, str]]:
        """Return the texts for the script, facts filled in and {name} left for it."""
        return {
            key: {language: self.filled(entry[language], language).unescape() for language in LANGUAGES}
            for key, entry in self.words.items()
        }

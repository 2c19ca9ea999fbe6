"""Numbers with their nouns in the exhibits' sentences, in Python and in the page's script."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tools import needs_browser

from scalian_exp.exhibits.exhibit import HERE
from scalian_exp.exhibits.page import FRAME, SCRIPTS
from scalian_exp.exhibits.texts import Texts, of
from scalian_exp.pages.parts import module

NARROW = "\u202f"
SINGLE = {"fr": ["0", "0,1", "1", "1,0", "1,9", "−1,5"], "en": ["1", "−1"]}
SEVERAL = {"fr": ["2", "2,0", "−2", "15", f"1{NARROW}000"], "en": ["0", "0.1", "1.0", "1.9", "2", "−1.5", "1,000"]}


@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_noun_is_singular_as_the_language_counts(language: str) -> None:
    assert [of(text, "nat", language=language) for text in SINGLE[language]] == [
        f"{n}\xa0nat" for n in SINGLE[language]
    ]
    several = [of(text, "canal", "canaux", language=language) for text in SEVERAL[language]]
    assert several == [f"{n}\xa0canaux" for n in SEVERAL[language]]


def test_texts_fill_numbers_with_their_nouns(tmp_path: Path) -> None:
    file = tmp_path / "texts.yaml"
    text = "{{ f.x | n(1) | of('nat') }} de {{ f.y | n | of('pixel') }}"
    file.write_text(json.dumps({"loss": {"fr": text, "en": text}}), encoding="utf-8")
    texts = Texts(file, {"x": 1.95, "y": 1})
    assert texts.plain("loss", "fr") == "1,9\xa0nat de 1\xa0pixel"
    assert texts.plain("loss", "en") == "1.9\xa0nats de 1\xa0pixel"


@needs_browser
def test_scripts_count_as_texts_do(driver: Any, tmp_path: Path) -> None:
    scripts = "".join(module(FRAME / name) for name in SCRIPTS[:-1])
    entry = "{value canal|canaux} et {value}"
    file = tmp_path / "kit.html"
    words = json.dumps({"both": {"fr": entry, "en": entry}})
    file.write_text(f"<script>{scripts}\nconst say = speaker({words});</script>", encoding="utf-8")
    driver.get(file.as_uri())
    for language in ("fr", "en"):
        values = [*SINGLE[language], *SEVERAL[language]]
        script = "root.lang = arguments[0]; return arguments[1].map((value) => say('both', { value }))"
        own = [f"{of(value, 'canal', 'canaux', language=language)} et {value}" for value in values]
        assert driver.execute_script(script, language, values) == own


def test_no_sentence_writes_a_unit_behind_a_number_by_hand() -> None:
    by_hand = re.compile(
        r"(\| n(\(\d\))? \}\}(</b>)?|\{\w+\}) (nats?|bits?|nombres?|numbers?|images?|textes?|texts?)\b"
    )
    for file in HERE.glob("*/texts.yaml"):
        assert not by_hand.search(file.read_text(encoding="utf-8")), file

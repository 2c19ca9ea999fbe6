"""Classes have French names on French pages."""

import re
from pathlib import Path

import pytest
from tools import every_option, tiny

from scalian_exp.checkpoint import load
from scalian_exp.exhibits.class_names import class_names, french
from scalian_exp.exhibits.play import page
from scalian_exp.exhibits.run import Run
from scalian_exp.run.training import train


def test_every_class_of_the_data_sets_has_a_french_name() -> None:
    for name, node in every_option("dataset").items():
        assert set(node.get("class_names") or []) <= french().keys(), name
    assert class_names(["frog", "my own"], 2) == {"fr": ["grenouille", "my own"], "en": ["frog", "my own"]}
    assert class_names(None, 2)["fr"] == ["classe 0", "classe 1"]


@pytest.mark.parametrize("names", ["[ground,trouser,dress,ankle boot]", "null"])
def test_the_masks_sentences_name_classes_in_their_language(names: str, tmp_path: Path) -> None:
    train(tiny("unet", "loss=median_frequency", f"++dataset.class_names={names}"), tmp_path / "run")
    html = page(Run(load(tmp_path / "run"))).html
    said = {lang: " ".join(re.findall(rf'<(?:span|p) lang="{lang}">(.*?)</(?:span|p)>', html)) for lang in ("fr", "en")}
    rare = {"fr": "chaque pixel y pèse selon sa classe", "en": "each pixel weighs as its class does"}
    listed = {lang: set(re.findall(r"\(([^()]+)\)", said[lang].partition(rare[lang])[2][:80])) for lang in rare}
    if names == "null":
        assert len(listed["fr"]) == 2
        assert all(re.fullmatch(r"classe \d", name) for name in listed["fr"])
        assert all(re.fullmatch(r"class \d", name) for name in listed["en"])
    else:
        assert len(listed["en"]) == 2
        assert listed["fr"] == {french()[name] for name in listed["en"]}
        assert not re.search("trouser|ankle boot|ground(?! truth)", said["fr"])

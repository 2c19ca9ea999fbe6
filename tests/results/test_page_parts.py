"""What the report page tells: directions of metrics, names, differences of configs, pictures."""

import base64
import io
import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reported import write_runs

from scalian_exp.metrics.directions import direction
from scalian_exp.results import pictures as embedding
from scalian_exp.results.differences import differences
from scalian_exp.results.highlights import cards
from scalian_exp.results.page import page, repeated, short_names
from scalian_exp.results.pictures import pictures
from scalian_exp.results.rows import read_jobs
from scalian_exp.results.summary import summary_of


def test_directions_are_those_of_the_glossary(root: Path) -> None:
    glossary = (root / "docs/glossary.md").read_text(encoding="utf-8")
    table = glossary.partition("## Metrics")[2].partition("\n## ")[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| `")]
    known = {
        re.sub(r"<\w+>", "5", name): "Higher is better" in row[3]
        for row in rows
        for name in re.findall(r"`([^`…]+)`", row[1])
    }
    assert len(known) > 30
    for name, higher in known.items():
        assert (direction(f"test/{name}") == 1) == higher, name
    assert [
        direction(name) for name in ("best val/miou", "test/crf_miou", "test/iou/road", "test/neg_elbo", "val/kl")
    ] == [*(1, 1, 1, -1, 0)]


def test_names_are_what_was_swept_in_short() -> None:
    def names(*overrides: dict[str, str]) -> list[str]:
        return short_names([{"folder": Path(f"x/{n}"), "overrides": each} for n, each in enumerate(overrides)])

    both = [{"model": "vae", "model.optimizer.lr": "1", "loss.beta": str(n)} for n in (1, 2)]
    assert names(*both) == ["beta=1", "beta=2"]
    ends = [{"dataset.size": "1", "model.size": str(n), "seed": "0"} for n in (1, 2)]
    ends[1]["dataset.size"] = "3"
    assert names(*ends) == ["dataset.size=1, model.size=1", "dataset.size=3, model.size=2"]
    assert names(both[0], both[0]) == ["0", "1"]  # the folders


def test_differences_are_keys_with_several_values() -> None:
    configs: list[dict[str, Any]] = [
        {"model": {"hidden": [1, 2], "lr": 0.1, "fits": {"task": "a"}}, "compile": True, "seed": 0},
        {"model": {"hidden": [1], "lr": 0.1, "fits": {"task": "b"}}, "compile": True, "seed": 1},
        {},  # failed before it had a config
        {"model": {"hidden": [1], "depth": None}, "compile": True, "seed": 2},
    ]
    found = dict(differences(configs, ["seed"]))
    assert list(found) == ["seed", "model.hidden", "model.lr", "model.depth"]
    assert found["model.hidden"] == {"[1, 2]": [0], "[1]": [1, 3]}
    assert found["model.lr"] == {"0.1": [0, 1], "—": [3]}
    assert found["model.depth"] == {"—": [0, 1], "null": [3]}


def test_cards_of_runs_that_repeat_nothing_show_the_best_run(tmp_path: Path) -> None:
    jobs = [job for job in read_jobs(write_runs(tmp_path)[0].parent) if job["overrides"]["seed"] == "0"]
    found = cards(repeated(summary_of(jobs)), ["a", "b", "c"])
    assert [(card.metric, card.value, card.spread, card.who, card.among) for card in found] == [
        ("test/neg_elbo", "98", "", "b", "lowest of 3"),
        ("best val/neg_elbo", "114.33", "", "a", "lowest of 3"),
    ]


def test_the_page_of_one_run_shows_its_results(tmp_path: Path) -> None:
    run = write_runs(tmp_path)[0]
    text = page([run], "one")
    assert '<h2 id="best-name">Results</h2>' in text
    assert "lower is better" in text
    assert 'id="compare"' not in text
    assert '<td data-column="test/neg_elbo" data-value="100.0">100</td>' in text


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    runs = write_runs(tmp_path)
    file = runs[0] / "metrics.json"
    metrics = json.loads(file.read_text()) | {
        "test/neg_elbo": math.nan,
        "test/kl": -math.inf,
        "seconds_per_epoch": math.inf,
    }
    file.write_text(json.dumps(metrics))
    overrides = runs[1] / ".hydra/overrides.yaml"
    overrides.write_text(overrides.read_text().replace("loss.beta=0.5", "loss.beta=inf"))
    text = page(runs, "sweep")
    read = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    values = {axis["name"]: axis["values"] for axis in read["axes"]}
    assert values["test/neg_elbo"] == [None, 104, 98, 99, 120, None]
    assert values["test/kl"] == [None, 5, 10, 10, 40, None]
    assert values["seconds_per_epoch"][:2] == [None, 1]
    assert values["loss.beta"][:2] == [0.5, "inf"]
    assert '<td data-column="test/neg_elbo" data-value=""></td>' in text
    assert 'data-column="test/loss" data-value="1.0"' in text  # the run's other values are shown


def test_many_pictures_are_shrunk_and_the_latest_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    generator = random.Random(0)
    for run in range(3):
        runs.append(tmp_path / str(run))
        for epoch in (1, 2, 3):
            place = runs[-1] / f"figures/epoch_{epoch:04d}"
            place.mkdir(parents=True)
            image = Image.frombytes("L", (700, 350), generator.randbytes(700 * 350))
            image.save(place / "val_x.png")
            image.save(runs[-1] / "figures/val_x.png")
    whole = pictures(runs)
    (kind,) = whole["kinds"]
    assert kind == {"name": "val_x", "runs": {run: [(e, 3 * run + e - 1) for e in (1, 2, 3)] for run in range(3)}}
    data = base64.b64decode(whole["pictures"][4].partition(",")[2])
    assert data == (runs[1] / "figures/epoch_0002/val_x.png").read_bytes()
    assert not whole["note"]
    monkeypatch.setattr(embedding, "AS_THEY_ARE", 1000)
    monkeypatch.setattr(embedding, "MOST_PICTURES", 5)
    some = pictures(runs)
    kept = {run: [epoch for epoch, _ in drawn] for run, drawn in some["kinds"][0]["runs"].items()}
    assert kept == {0: [2, 3], 1: [2, 3], 2: [3]}
    assert Image.open(io.BytesIO(base64.b64decode(some["pictures"][0].partition(",")[2]))).size == (560, 280)
    assert "4 of 9 are left out, early epochs' first." in some["note"]


def test_a_run_of_an_earlier_version_shows_its_only_figures(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in ("val_x", "test_x"):
        Image.new("L", (4, 4)).save(tmp_path / f"figures/{name}.png")
    assert [(kind["name"], kind["runs"]) for kind in pictures([tmp_path])["kinds"]] == [
        ("val_x", {0: [(0, 1)]}),
        ("test_x", {0: [(0, 0)]}),
    ]

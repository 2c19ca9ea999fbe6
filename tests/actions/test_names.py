"""Actions call examples by what people know them by: files, pages of files, the first words of texts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tools import ONE_STEP, read_csv, tiny

from scalian_exp.actions.action import data_of
from scalian_exp.actions.embed import Embed
from scalian_exp.actions.nearest import Nearest
from scalian_exp.checkpoint import load
from scalian_exp.run.training import train

SIZE = "dataset.image_size=[8,8]"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on image files in two classes, one of which has a stack of three pages."""
    folder = tmp_path_factory.mktemp("names")
    draw = np.random.default_rng(0)
    for split, count in {"train": 6, "val": 2, "test": 3}.items():
        for label in ("cats", "dogs"):
            (folder / "data" / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"data/{split}/{label}/{number} é.png")
    first, *pages = [Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(3)]
    first.save(folder / "data/test/dogs/stack.tif", save_all=True, append_images=pages)
    data = ["dataset=image_folder", f"dataset.root={folder}/data", SIZE, "dataset.num_workers=0"]
    train(tiny("autoencoder", *data, *ONE_STEP, "test=false"), folder / "run")
    return folder / "run"


def test_codes_of_files_are_named_by_them(run: Path, tmp_path: Path) -> None:
    """The code of each named file is the one that it has when it is given as an image."""
    model = load(run)
    Embed().run(model, tmp_path / "split")
    table = read_csv(tmp_path / "split/codes.csv")
    codes = np.load(tmp_path / "split/codes.npy")
    names = [row.pop("name") for row in table]
    stack = [f"test/dogs/stack.tif#{page}" for page in range(3)]
    assert sorted(names) == sorted([f"test/{label}/{n} é.png" for label in ("cats", "dogs") for n in range(3)] + stack)
    for name, row, code in zip(names, table, codes, strict=True):
        assert row.pop("label") == str(int("dogs" in name))
        assert np.allclose([float(value) for value in row.values()], code, atol=1e-6)
        Embed(image=str(run.parent / "data" / name)).run(model, tmp_path / name)
        assert np.load(tmp_path / name / "codes.npy")[0] == pytest.approx(code, abs=1e-5)
    (line,) = read_csv(tmp_path / names[0] / "codes.csv")
    assert line["name"] == str(run.parent / "data" / names[0])


def test_neighbours_are_named_by_their_files(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = run.parent / "data/train/cats/4 é.png"
    Nearest(image=str(query), count=3).run(load(run), tmp_path)
    rows = read_csv(tmp_path / "nearest.csv")
    assert rows[0]["file"] == "train/cats/4 é.png", "the file itself is nearest"
    assert float(rows[0]["distance"]) == pytest.approx(0, abs=1e-5)
    assert {row["query_file"] for row in rows} == {str(query)}
    printed = capsys.readouterr().out
    assert f"nearest to yours: {query}" in printed
    assert all(row["file"] in printed for row in rows)


def test_codes_of_texts_are_named_by_their_first_words(tmp_path: Path) -> None:
    train(tiny("text_autoencoder", *ONE_STEP, "test=false"), tmp_path / "run")
    model = load(tmp_path / "run")
    Embed().run(model, tmp_path / "split")
    (row, *_) = read_csv(tmp_path / "split/codes.csv")
    text = data_of(model).splits["test"].texts[0]
    assert row["name"].removesuffix("…") == " ".join(text.split())[:60]
    Embed(text=text).run(model, tmp_path / "own")
    (own,) = read_csv(tmp_path / "own/codes.csv")
    assert own["name"] == row["name"]
    assert [float(own[f"code_{k}"]) for k in range(2)] == pytest.approx([float(row[f"code_{k}"]) for k in range(2)])

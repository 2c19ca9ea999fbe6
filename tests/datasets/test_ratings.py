"""Ratings from GroupLens' files: content, splits, and messages about broken files."""

import hashlib
import shutil
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from dense_tables import tables_of
from tools import sentence, tiny

from scalian_exp.checkpoint import load
from scalian_exp.datasets.movielens import MovieLens1M, MovieLens100k, MovieLensLatestSmall
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

LEVELS = [1, 2, 3, 4, 5]
PUBLISHED = dict(MovieLens100k.published)


@pytest.fixture(autouse=True)
def _small_editions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the check for completeness, because the sets written here are smaller than the published ones."""
    for kind in (MovieLens100k, MovieLens1M, MovieLensLatestSmall):
        monkeypatch.setattr(kind, "published", {})


def write_100k(root: Path, test_rating: int = 5) -> Path:
    """Write six users and five films in the format of MovieLens 100k; every fifth rating is a test rating."""
    folder = root / "ml-100k"
    folder.mkdir(parents=True)
    flags = "|".join("0" for _ in range(18))
    films = [f"{item}|Film {item} (199{item})|01-Jan-1995||http://x|0|1{flags[1:]}" for item in range(1, 6)]
    (folder / "u.item").write_text("\n".join(films) + "\n", encoding="latin-1")
    pairs = [(user, item, (user + item) % 5 + 1) for user in range(1, 7) for item in range(1, 6)]
    parts: dict[str, list[str]] = {"u1.base": [], "u1.test": [], "u.data": []}
    for index, (user, item, rating) in enumerate(pairs):
        test = index % 5 == 4
        line = f"{user}\t{item}\t{test_rating if test else rating}\t0"
        parts["u1.test" if test else "u1.base"].append(line)
        parts["u.data"].append(line)
    for name, lines in parts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def hundred(root: Path, **changes: Any) -> MovieLens100k:
    arguments = {"root": str(root), "users": 6, "items": 5, "levels": LEVELS, "val_share": 0.25, **changes}
    data = MovieLens100k(**arguments)
    data.prepare_data()
    data.setup()
    return data


def test_every_rating_is_in_one_split_and_predictions_see_no_target(tmp_path: Path) -> None:
    write_100k(tmp_path)
    data = hundred(tmp_path)
    train_, val, test = (tables_of(data.splits[name]) for name in ("train", "val", "test"))
    assert torch.equal(train_.rating, train_.target)
    assert [int((part.target > 0).sum()) for part in (train_, val, test)] == [18, 6, 6]
    assert torch.equal(val.rating, train_.rating)
    assert torch.equal(test.rating, train_.rating + val.target)
    for part in (val, test):
        assert not bool(((part.rating > 0) & (part.target > 0)).any())
    table = train_.rating + val.target + test.target
    assert torch.equal(train_.known, table > 0)
    expected = torch.tensor([[(u + i) % 5 + 1 if (u * 5 + i) % 5 != 4 else 5 for i in range(5)] for u in range(6)])
    shifted = torch.tensor([[(u + 1 + i + 1) % 5 + 1 for i in range(5)] for u in range(6)])
    shifted[:, 4] = expected[:, 4]
    assert torch.equal(table, shifted.float())
    assert data.titles[:2] == ["Film 1 (1991)", "Film 2 (1992)"]
    assert data.genres == ["Action"] * 5
    batch = data.splits["train"][torch.tensor([2, 0])]
    assert torch.equal(batch["rating"], train_.rating[[2, 0]])


def test_rows_may_be_items(tmp_path: Path) -> None:
    write_100k(tmp_path)
    users, items = hundred(tmp_path), hundred(tmp_path, rows="items")
    for name in ("train", "val", "test"):
        for table in ("rating", "target", "known"):
            by_user, by_item = (getattr(tables_of(data.splits[name]), table) for data in (users, items))
            assert torch.equal(by_user.T, by_item)
    again = items.by_user(items.splits["test"].rating).dense()
    assert torch.equal(again, users.splits["test"].rating.dense())


def test_splits_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    write_100k(tmp_path)
    torch.manual_seed(1)
    one = hundred(tmp_path, split="random", test_share=0.2)
    torch.manual_seed(2)
    other = hundred(tmp_path, split="random", test_share=0.2)
    assert all(torch.equal(one.splits[name].target.dense(), other.splits[name].target.dense()) for name in one.splits)
    assert len(one.splits["test"].target.values) == 6


@pytest.mark.parametrize(
    "model",
    ["rbm_cf", "rbm_cf_items", "autorec_items", "biased_mf", "svdpp", "rating_bias", "multvae", "bpr", "popularity"],
)
def test_no_rating_of_the_test_split_reaches_training(model: str, tmp_path: Path) -> None:
    """Changing all test ratings leaves the trained network bit-for-bit the same."""
    states = []
    for rating in (2, 5):
        write_100k(tmp_path / str(rating), rating)
        overrides = [
            "dataset=movielens_100k",
            f"dataset.root={tmp_path / str(rating)}",
            "dataset.users=6",
            "dataset.items=5",
            "dataset.liked=2",  # low enough that some of the few validation ratings are liked
        ]
        train(tiny(model, *overrides, "test=false", "trainer.max_epochs=2"), tmp_path / f"run{rating}")
        states.append(load(tmp_path / f"run{rating}/checkpoints/last.ckpt").task.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_liked_level_above_the_scale_is_refused() -> None:
    with pytest.raises(Refusal, match=r"liked=6 is above all .*: dataset.liked=5 or less"):
        MovieLens100k("nowhere", 6, 5, LEVELS, liked=6)
    with pytest.raises(Refusal, match=r"dataset.levels=\[\] has no rating"):
        MovieLens100k("nowhere", 6, 5, [])
    MovieLens100k("nowhere", 6, 5, [1], liked=1)  # liked or not rated


def test_a_rating_in_both_splits_is_refused(tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    with (folder / "u1.base").open("a") as file:
        file.write((folder / "u1.test").read_text().splitlines()[0] + "\n")
    data = MovieLens100k(str(tmp_path), 6, 5, LEVELS, val_share=0.25)
    assert sentence(data) == "1 ratings of the test split are also among the training ratings; remove them there."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\t1\t6\t0", "line 25: the rating '6' is none of 1, 2, 3, 4, 5"),
        ("1\t1\tgood\t0", "line 25: the rating 'good' is not a number"),
        ("1\t1\tnan\t0", "line 25: the rating 'nan' is not a number"),
        ("1\t99\t4\t0", "line 25: item '99' is not among those"),
        ("1 1 4 0", "line 25: '1 1 4 0' lacks a user, item and rating, separated by '\\t'"),
    ],
)
def test_a_broken_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    with (folder / "u1.base").open("a") as file:
        file.write(line + "\n")
    assert f"{folder}/u1.base, {message}" in sentence(MovieLens100k(str(tmp_path), 6, 5, LEVELS))


def test_missing_files_and_wrong_numbers_are_refused(tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    assert sentence(MovieLens100k(str(tmp_path), 6, 5, LEVELS, split="u2")).startswith(
        f"There is no file {folder}/u2.base; put it there"
    )
    message = sentence(MovieLens100k(str(tmp_path), 4, 5, LEVELS))
    assert message.endswith("but dataset.users is 4; set dataset.users=6 dataset.items=5.")
    assert "dataset.val_share=0 of 24" in sentence(MovieLens100k(str(tmp_path), 6, 5, LEVELS, val_share=0.0))
    with pytest.raises(Refusal, match="must be ascending"):
        MovieLens100k(str(tmp_path), 6, 5, [2, 1])


def zipped(folder: Path, archive: Path) -> str:
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.iterdir():
            file.write(path, f"{folder.name}/{path.name}")
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def test_an_archive_is_checked_and_unpacked_completely(tmp_path: Path) -> None:
    folder = write_100k(tmp_path / "made")
    root = tmp_path / "root"
    root.mkdir()
    sha256 = zipped(folder, root / "ml-100k.zip")
    with pytest.raises(Refusal, match=r"ml-100k.zip is broken or a different file"):
        hundred(root)
    with patch.object(MovieLens100k, "sha256", sha256):
        hundred(root)
    assert {path.name for path in root.iterdir()} == {"ml-100k", "ml-100k.zip"}
    shutil.rmtree(root / "ml-100k")
    (root / "ml-100k.zip").write_bytes(b"no archive")
    with (
        patch.object(MovieLens100k, "sha256", hashlib.sha256(b"no archive").hexdigest()),
        pytest.raises(Refusal, match="can't be unpacked"),
    ):
        hundred(root)
    assert not list(root.glob("*.part"))


def test_a_failed_download_names_the_missing_file(tmp_path: Path) -> None:
    with patch("scalian_exp.datasets.download.OPENER.open", side_effect=OSError("no network")):
        with pytest.raises(Refusal, match=r"ml-1m.zip is missing and could not be downloaded \(https.*: no network\)"):
            MovieLens1M(str(tmp_path), 6, 5, LEVELS).prepare_data()
        with pytest.raises(Refusal, match=r"ml-latest-small.zip is missing"):
            MovieLensLatestSmall(str(tmp_path), 6, 5, LEVELS).prepare_data()


def test_the_other_formats_of_grouplens(tmp_path: Path) -> None:
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "ml-1m/movies.dat").write_bytes(
        '3::Café: the "film" (1999)::Drama|War\n7::B (2000)::Comedy\n'.encode("latin-1")
    )
    lines = [f"{user}::{item}::{rating}::9" for user, item, rating in ((1, 3, 5), (2, 3, 1), (1, 7, 2), (10, 7, 4))]
    (tmp_path / "ml-1m/ratings.dat").write_text("\n".join(lines) + "\n")
    data = MovieLens1M(str(tmp_path), 3, 2, LEVELS, val_share=0.3, test_share=0.3)
    data.setup()
    assert (data.user_names, data.item_names) == (["1", "2", "10"], ["3", "7"])
    assert data.titles == ['Café: the "film" (1999)', "B (2000)"]
    assert data.genres == ["Drama", "Comedy"]
    table = (data.splits["test"].rating + data.splits["test"].target).dense()
    assert torch.equal(table, torch.tensor([[5.0, 2.0], [1.0, 0.0], [0.0, 4.0]]))

    (tmp_path / "ml-latest-small").mkdir()
    (tmp_path / "ml-latest-small/movies.csv").write_text('movieId,title,genres\n1,"American, An (1995)",Comedy|War\n')
    (tmp_path / "ml-latest-small/ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,1,0.5,9\n2,1,4.5,9\n3,1,3.0,9\n"
    )
    halves = [step / 2 for step in range(1, 11)]
    small = MovieLensLatestSmall(str(tmp_path), 3, 1, halves, val_share=0.4, test_share=0.4)
    small.setup()
    assert small.titles == ["American, An (1995)"]
    table = (small.splits["test"].rating + small.splits["test"].target).dense()
    assert torch.equal(table, torch.tensor([[0.5], [4.5], [3.0]]))


@pytest.mark.parametrize("name", ["u1.base", "u1.test"])
def test_a_truncated_published_set_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    sizes = {"u1.base": 24, "u1.test": 6}
    with patch.object(MovieLens100k, "published", sizes):
        hundred(tmp_path)
        for cut in ((folder / name).read_text().splitlines()[:-1], []):
            (folder / name).write_text("".join(f"{line}\n" for line in cut))
            message = rf"{name} has {len(cut)} ratings, .*not the {sizes[name]} that were published; delete {folder}"
            with pytest.raises(Refusal, match=message):
                hundred(tmp_path)
    assert PUBLISHED["u1.base"] + PUBLISHED["u1.test"] == 100_000
    assert PUBLISHED["ua.base"] + PUBLISHED["ua.test"] == 100_000


def test_a_split_without_ratings_is_refused(tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    (folder / "u1.test").write_text("")
    assert sentence(MovieLens100k(str(tmp_path), 6, 5, LEVELS)).startswith("There are no test ratings")

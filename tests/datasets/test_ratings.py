"""Ratings from GroupLens' and users' files: content, splits, and messages about broken files."""

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from tools import composed, tiny

from scalian_exp.build import build
from scalian_exp.checkpoint import load
from scalian_exp.commandline.experiment import with_found
from scalian_exp.datasets.movielens import MovieLens1M, MovieLens100k, MovieLensLatestSmall
from scalian_exp.datasets.ratings_csv import FakeRatings, RatingsCSV
from scalian_exp.networks.rating_rbm import level_counts, nearest
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.vocabulary.checks import resolved

LEVELS = [1, 2, 3, 4, 5]
PUBLISHED = dict(MovieLens100k.published)


@pytest.fixture(autouse=True)
def _small_editions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the check for completeness, because the tests' sets are smaller than the published ones."""
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


def sentence(data: Any) -> str:
    with pytest.raises(Refusal) as caught:
        data.setup()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_rating_is_in_one_split_and_predictions_see_no_target(tmp_path: Path) -> None:
    write_100k(tmp_path)
    data = hundred(tmp_path)
    train_, val, test = (data.splits[name] for name in ("train", "val", "test"))
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
    batch = train_[torch.tensor([2, 0])]
    assert torch.equal(batch["rating"], train_.rating[[2, 0]])


def test_rows_may_be_items(tmp_path: Path) -> None:
    write_100k(tmp_path)
    users, items = hundred(tmp_path), hundred(tmp_path, rows="items")
    for name in ("train", "val", "test"):
        for table in ("rating", "target", "known"):
            assert torch.equal(getattr(users.splits[name], table).T, getattr(items.splits[name], table))
    assert torch.equal(items.by_user(items.splits["test"].rating), users.splits["test"].rating)


def test_splits_depend_on_no_seed(tmp_path: Path) -> None:
    write_100k(tmp_path)
    torch.manual_seed(1)
    one = hundred(tmp_path, split="random", test_share=0.2)
    torch.manual_seed(2)
    other = hundred(tmp_path, split="random", test_share=0.2)
    assert all(torch.equal(one.splits[name].target, other.splits[name].target) for name in one.splits)
    assert int((one.splits["test"].target > 0).sum()) == 6


@pytest.mark.parametrize(
    "model", ["rbm_cf", "rbm_cf_items", "autorec_items", "biased_mf", "rating_bias", "multvae", "popularity"]
)
def test_no_rating_of_the_test_split_reaches_training(model: str, tmp_path: Path) -> None:
    """Changing all test ratings leaves the trained network bit-for-bit the same."""
    states = []
    for rating in (2, 5):
        write_100k(tmp_path / str(rating), rating)
        said = [
            "dataset=movielens_100k",
            f"dataset.root={tmp_path / str(rating)}",
            "dataset.users=6",
            "dataset.items=5",
            "dataset.liked=2",  # low enough that some of the few validation ratings are liked
        ]
        train(tiny(model, *said, "test=false", "trainer.max_epochs=2"), tmp_path / f"run{rating}")
        states.append(load(tmp_path / f"run{rating}/checkpoints/last.ckpt").task.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_level_that_nobody_can_like_is_refused() -> None:
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
    ("line", "said"),
    [
        ("1\t1\t6\t0", "line 25: the rating '6' is none of 1, 2, 3, 4, 5"),
        ("1\t1\tgood\t0", "line 25: the rating 'good' is not a number"),
        ("1\t1\tnan\t0", "line 25: the rating 'nan' is not a number"),
        ("1\t99\t4\t0", "line 25: item '99' is not among those"),
        ("1 1 4 0", "line 25: '1 1 4 0' lacks a user, item and rating, separated by '\\t'"),
    ],
)
def test_a_broken_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    with (folder / "u1.base").open("a") as file:
        file.write(line + "\n")
    assert f"{folder}/u1.base, {said}" in sentence(MovieLens100k(str(tmp_path), 6, 5, LEVELS))


def test_missing_files_and_wrong_numbers_are_told(tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    assert sentence(MovieLens100k(str(tmp_path), 6, 5, LEVELS, split="u2")).startswith(
        f"There is no file {folder}/u2.base; put it there"
    )
    wrong = sentence(MovieLens100k(str(tmp_path), 4, 5, LEVELS))
    assert wrong.endswith("but dataset.users is 4; set dataset.users=6 dataset.items=5.")
    assert "dataset.val_share=0 of 24" in sentence(MovieLens100k(str(tmp_path), 6, 5, LEVELS, val_share=0.0))
    with pytest.raises(Refusal, match="must be ascending"):
        MovieLens100k(str(tmp_path), 6, 5, [2, 1])


def zipped(folder: Path, archive: Path) -> str:
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.iterdir():
            file.write(path, f"{folder.name}/{path.name}")
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def test_an_archive_is_checked_and_unpacked_whole(tmp_path: Path) -> None:
    folder = write_100k(tmp_path / "made")
    root = tmp_path / "root"
    root.mkdir()
    sha256 = zipped(folder, root / "ml-100k.zip")
    with pytest.raises(Refusal, match=r"ml-100k.zip is broken or another file"):
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


def test_what_is_nowhere_can_be_put_there(tmp_path: Path) -> None:
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
    table = data.splits["test"].rating + data.splits["test"].target
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
    table = small.splits["test"].rating + small.splits["test"].target
    assert torch.equal(table, torch.tensor([[0.5], [4.5], [3.0]]))


GOOD = 'title,user,item,rating,when\nA film,ann,a,4,1\n"B, or not",bob,b,5,2\nA film,bob,a,1,3\n,eve,b,2,4\n'


def own(folder: Path, text: str) -> RatingsCSV:
    (folder / "ratings.csv").write_text(text, encoding="utf-8-sig")
    return RatingsCSV(str(folder), 10, 10, LEVELS, val_share=0.3, test_share=0.3)


def test_anybodys_ratings(tmp_path: Path) -> None:
    data = own(tmp_path, GOOD)
    data.setup()
    assert data.user_names == ["ann", "bob", "eve"]
    assert data.titles == ["A film", "B, or not"]
    table = data.splits["test"].rating + data.splits["test"].target
    assert table.shape == (10, 10)
    assert torch.equal(table[:3, :2], torch.tensor([[4.0, 0.0], [1.0, 5.0], [0.0, 2.0]]))
    assert int((table > 0).sum()) == 4
    untitled = own(tmp_path, "user,item,rating\n1,b,4\n2,b,5\n3,a,1\n4,a,2\n")
    untitled.setup()
    assert untitled.titles == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,item\n1,2\n", "has no column rating; its first line has user, item: name the columns in the first line"),
        ("User;Item\n1;2\n", "has no column rating; its first line has User, Item: name the columns in the first line"),
        ("", "has no column user and item and rating"),
        ("user,item,rating\n", "has no ratings below its header"),
        ("user,item,rating\n1,a,4\n2,b\n", "line 3 has 2 fields, but the header names 3 columns; repair or remove it"),
        ("user,item,rating\n1,a,4\n2,B, or not,3\n", "line 3 has 4 fields, but the header names 3 columns"),
        ("user,item,rating\n1,a,4\n,b,3\n", "line 3 has an empty user, item or rating"),
        (
            "user,item,rating\n1,a,4\n2,b,7\n",
            "line 3: the rating '7' is none of 1, 2, 3, 4, 5; correct it, or set dataset.levels",
        ),
        (
            'user,item,rating,title\n1,a,4,A\n2,b,3,"B\n3,b,2,B\n4,c,2,"C"\n',
            "line 3 opens a double quote that it doesn't close",
        ),
        ("user,item,rating\n1,a,4\n", "dataset.test_share=0.3 of 1 ratings"),
    ],
)
def test_a_broken_csv_file_is_told_by_file_and_line(text: str, said: str, tmp_path: Path) -> None:
    found = sentence(own(tmp_path, text))
    assert said in found
    if said.startswith("line"):
        assert f"{tmp_path}/ratings.csv, {said}" in found


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", ["user,item,rating,title", " User,ITEM,Rating,Title"])
def test_any_separator_will_do(mark: str, header: str, tmp_path: Path) -> None:
    rows = ["ann,a,4,A film", "bob,b,5,B", "bob,a,1,A film", "eve,b,2,B"]
    data = own(tmp_path, "\n".join(line.replace(",", mark) for line in (header, *rows)))
    data.setup()
    table = data.splits["test"].rating + data.splits["test"].target
    assert torch.equal(table[:3, :2], torch.tensor([[4.0, 0.0], [1.0, 5.0], [0.0, 2.0]]))
    assert data.titles == ["A film", "B"]


def test_the_last_rating_of_a_pair_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = own(tmp_path, GOOD + "A film,ann,a,2,5\nA film,ann,a,3,6\n")
    data.setup()
    table = data.splits["test"].rating + data.splits["test"].target
    assert torch.equal(table[:3, :2], torch.tensor([[3.0, 0.0], [1.0, 5.0], [0.0, 2.0]]))
    told = capsys.readouterr().out
    assert f"{tmp_path}/ratings.csv: 4 ratings, 1 to 5, of 2 items by 3 users" in told
    assert "2 ratings of pairs that are rated again: the last rating counts" in told


@pytest.mark.parametrize("name", ["u1.base", "u1.test"])
def test_a_published_set_that_is_cut_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    sizes = {"u1.base": 24, "u1.test": 6}
    with patch.object(MovieLens100k, "published", sizes):
        hundred(tmp_path)
        for cut in ((folder / name).read_text().splitlines()[:-1], []):
            (folder / name).write_text("".join(f"{line}\n" for line in cut))
            wanted = rf"{name} has {len(cut)} ratings, .*not the {sizes[name]} that were published; delete {folder}"
            with pytest.raises(Refusal, match=wanted):
                hundred(tmp_path)
    assert PUBLISHED["u1.base"] + PUBLISHED["u1.test"] == 100_000
    assert PUBLISHED["ua.base"] + PUBLISHED["ua.test"] == 100_000


def test_a_split_without_ratings_is_refused(tmp_path: Path) -> None:
    folder = write_100k(tmp_path)
    (folder / "u1.test").write_text("")
    assert sentence(MovieLens100k(str(tmp_path), 6, 5, LEVELS)).startswith("There are no test ratings")


def many(folder: Path, value: Callable[[int, int], float]) -> Path:
    """Write ratings of 20 users and 12 items."""
    rows = [f"u{u},i{i},{value(u, i):g}" for u in range(20) for i in range(12) if (u * 5 + i * 3) % 4]
    folder.mkdir()
    (folder / "ratings.csv").write_text("user,item,rating\n" + "\n".join(rows))
    return folder


@pytest.mark.parametrize("model", ["rbm_cf", "rbm_cf_items", "biased_mf", "rating_bias", "autorec_users", "multvae"])
def test_a_scale_may_begin_anywhere(model: str, tmp_path: Path) -> None:
    """A scale from −2 to 2 trains exactly as one from 1 to 5; only the levels' names differ."""
    found = []
    for name, offset in (("above", 0), ("below", -3)):
        root = many(tmp_path / name, lambda u, i, offset=offset: 1 + (u * 7 + i * u) % 5 + offset)  # type: ignore[misc]
        dataset = ["dataset=ratings_csv", f"dataset.root={root}", "dataset.users=20", "dataset.items=12"]
        rows = "items" if "items" in model else "users"
        words = [f"dataset.levels={[level + offset for level in LEVELS]}", f"dataset.liked={4 + offset}"]
        words += [f"dataset.rows={rows}", "dataset.val_share=0.2", "dataset.test_share=0.2"]
        config = tiny(model, *dataset, *words)
        found.append((train(config, tmp_path / f"run {name}"), load(tmp_path / f"run {name}").task))
    (above, _), (below, task) = found
    same = {key for key in above if key.startswith("test/") and "seconds" not in key}
    assert {"test/ndcg_at_10"} < same
    assert {key: above[key] for key in same} == {key: below[key] for key in same}
    assert (task.shift, task.levels) == (3, LEVELS)


def test_levels_are_found_in_the_file(tmp_path: Path) -> None:
    book = many(tmp_path / "book", lambda u, i: (u + i) % 11)
    data = RatingsCSV(str(book), 20, 12, "auto")
    assert (data.scale, data.continuous, data.shift) == (list(range(11)), False, 1)
    assert (data.levels[0], data.liked) == (1, 5)
    data.setup()
    table = data.splits["test"].rating + data.splits["test"].target
    assert sorted(table.unique().tolist()) == list(range(12))  # there a rating of 0 is 1, and 0 means unrated
    jester = many(tmp_path / "jester", lambda u, i: ((u * 97 + i * 31) % 2001 - 1000) / 100)
    data = RatingsCSV(str(jester), 20, 12, "auto")
    assert (data.scale[0], data.scale[-1], len(data.scale), data.continuous) == (-9.76, 9.98, 21, True)
    data.setup()
    scored = data.splits["test"].target[data.splits["test"].target > 0] - data.shift
    assert len(scored.unique()) > 12
    config = composed("model=rbm_cf", "dataset=ratings_csv", f"dataset.root={jester}", "dataset.levels=auto")
    plain = with_found(config, resolved(config))
    assert plain["dataset"]["continuous"] is True
    assert plain["dataset"]["levels"] == plain["model"]["levels"] == plain["model"]["network"]["levels"] == data.scale
    (jester / "ratings.csv").write_text("user,item,rating\n1,2,3\n1,3,good\n")
    with pytest.raises(Refusal, match=r"line 3: the rating 'good' is not a number"):
        RatingsCSV(str(jester), 20, 12, "auto")


def test_a_rating_between_levels_counts_as_the_nearest() -> None:
    levels = torch.tensor([1.0, 2.0, 5.0, 11.0])
    ratings = torch.rand(200) * 12
    ratings[:4] = levels
    expected = (ratings.unsqueeze(1) - levels).abs().argmin(1)
    assert torch.equal(nearest(ratings, levels), expected)
    counts = level_counts(torch.cat([ratings, torch.zeros(9)]).unsqueeze(1), levels)
    assert counts[0].tolist() == expected.bincount().tolist()


def test_a_csv_file_that_is_elsewhere_or_no_text(tmp_path: Path) -> None:
    assert f"There is no file {tmp_path}/ratings.csv" in sentence(RatingsCSV(str(tmp_path), 9, 9, LEVELS))
    (tmp_path / "ratings.csv").write_bytes(b"user,item,rating\n\xff\xfe,1,2\n")
    assert "can't be read" in sentence(RatingsCSV(str(tmp_path), 9, 9, LEVELS))
    with pytest.raises(Refusal, match=r"set dataset\.root to the folder of ratings"):
        RatingsCSV(str(tmp_path / "ratings.csv"), 9, 9, LEVELS)


def test_a_run_refuses_other_users_or_items(tmp_path: Path) -> None:
    one, other = own(tmp_path, GOOD), own(tmp_path, GOOD)
    one.setup()
    other.setup()
    other.load_state_dict(one.state_dict())
    changed = own(tmp_path, GOOD.replace("eve", "zoe"))
    changed.setup()
    with pytest.raises(Refusal, match="users or items of the ratings have changed"):
        changed.load_state_dict(one.state_dict())


def test_made_up_ratings_are_of_two_kinds() -> None:
    data = FakeRatings(40, 30, LEVELS)
    data.setup()
    table = data.splits["test"].rating
    own = torch.tensor([[(user - item) % 2 == 0 for item in range(30)] for user in range(40)])
    assert table[own & (table > 0)].min() > 2.5 > table[~own & (table > 0)].max() - 1


def test_models_are_told_of_rows_they_were_not_made_for(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"The network has 30 columns, but a row .* 40, for dataset.rows=items"):
        train(tiny("rbm_cf", "dataset.rows=items"), tmp_path)
    assert build("dataset", tiny("rbm_cf_items")["dataset"]).rows == "items"

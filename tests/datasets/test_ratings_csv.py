"""A user's ratings in a CSV file, and the levels of their scale."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tools import composed, sentence, tiny

from scalian_exp.build import build, build_task
from scalian_exp.checkpoint import load
from scalian_exp.commandline.experiment import with_inferred
from scalian_exp.datasets.ratings_csv import FakeRatings, RatingsCSV
from scalian_exp.networks.rating_rbm import level_counts, nearest
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.vocabulary.checks import resolved

LEVELS = [1, 2, 3, 4, 5]


GOOD = 'title,user,item,rating,when\nA film,ann,a,4,1\n"B, or not",bob,b,5,2\nA film,bob,a,1,3\n,eve,b,2,4\n'


def written(folder: Path, text: str) -> RatingsCSV:
    (folder / "ratings.csv").write_text(text, encoding="utf-8-sig")
    return RatingsCSV(str(folder), 10, 10, LEVELS, val_share=0.3, test_share=0.3)


def test_ratings_are_read_from_a_csv_file(tmp_path: Path) -> None:
    data = written(tmp_path, GOOD)
    data.setup()
    assert data.user_names == ["ann", "bob", "eve"]
    assert data.titles == ["A film", "B, or not"]
    table = (data.splits["test"].rating + data.splits["test"].target).dense()
    assert table.shape == (3, 10)  # columns may exceed the items that have ratings
    assert torch.equal(table[:3, :2], torch.tensor([[4.0, 0.0], [1.0, 5.0], [0.0, 2.0]]))
    assert int((table > 0).sum()) == 4
    untitled = written(tmp_path, "user,item,rating\n1,b,4\n2,b,5\n3,a,1\n4,a,2\n")
    untitled.setup()
    assert untitled.titles == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_a_broken_csv_file_is_refused_by_file_and_line(text: str, message: str, tmp_path: Path) -> None:
    refusal = sentence(written(tmp_path, text))
    assert message in refusal
    if message.startswith("line"):
        assert f"{tmp_path}/ratings.csv, {message}" in refusal


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", ["user,item,rating,title", " User,ITEM,Rating,Title"])
def test_any_common_separator_is_recognised(mark: str, header: str, tmp_path: Path) -> None:
    rows = ["ann,a,4,A film", "bob,b,5,B", "bob,a,1,A film", "eve,b,2,B"]
    data = written(tmp_path, "\n".join(line.replace(",", mark) for line in (header, *rows)))
    data.setup()
    table = (data.splits["test"].rating + data.splits["test"].target).dense()
    assert torch.equal(table[:3, :2], torch.tensor([[4.0, 0.0], [1.0, 5.0], [0.0, 2.0]]))
    assert data.titles == ["A film", "B"]


def test_the_last_rating_of_a_pair_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = written(tmp_path, GOOD + "A film,ann,a,2,5\nA film,ann,a,3,6\n")
    data.setup()
    table = (data.splits["test"].rating + data.splits["test"].target).dense()
    assert torch.equal(table[:3, :2], torch.tensor([[3.0, 0.0], [1.0, 5.0], [0.0, 2.0]]))
    output = capsys.readouterr().out
    assert f"{tmp_path}/ratings.csv: 4 ratings, 1 to 5, of 2 items by 3 users" in output
    assert "2 ratings of pairs that are rated again: the last rating counts" in output


def test_the_summary_tells_the_files_range_and_what_is_liked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = many(tmp_path / "low", lambda u, i: 1 + (u + i) % 3)
    RatingsCSV(str(root), 20, 12, LEVELS).setup()
    assert re.search(r"\d+ ratings, 1 to 3, of 12 items by 20 users; liked: 4 or more\n", capsys.readouterr().out)
    below = many(tmp_path / "below", lambda u, i: (u + i) % 4 - 2)
    RatingsCSV(str(below), 20, 12, [-3, -2, -1, 0, 1, 2], liked=1).setup()
    assert "ratings, -2 to 1, of 12 items by 20 users; liked: 1 or more" in capsys.readouterr().out


def test_a_predictor_without_liked_ratings_is_told_that_rankings_have_no_score(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = many(tmp_path / "low", lambda u, i: 1 + (u + i) % 3)
    shares = ["dataset.users=20", "dataset.items=12", "dataset.val_share=0.2", "dataset.test_share=0.2"]
    for liked, lines in ((4, 2), (3, 0)):
        options = ["dataset=ratings_csv", f"dataset.root={root}", *shares, f"dataset.liked={liked}"]
        config = tiny("biased_mf", *options)
        data, task = build("dataset", config["dataset"]), build_task(config)
        data.setup("fit")
        caplog.clear()
        with caplog.at_level(logging.INFO):
            task.check(data)
        told = [line for line in caplog.messages if "no ranking can be scored" in line]
        assert len(told) == lines
        assert all("lower dataset.liked, now dataset.liked=4" in line for line in told)


def many(folder: Path, value: Callable[[int, int], float]) -> Path:
    """Write ratings of 20 users and 12 items."""
    rows = [f"u{u},i{i},{value(u, i):g}" for u in range(20) for i in range(12) if (u * 5 + i * 3) % 4]
    folder.mkdir()
    (folder / "ratings.csv").write_text("user,item,rating\n" + "\n".join(rows))
    return folder


@pytest.mark.parametrize("model", ["rbm_cf", "rbm_cf_items", "biased_mf", "rating_bias", "autorec_users", "multvae"])
def test_a_scale_may_start_at_any_number(model: str, tmp_path: Path) -> None:
    """A scale from −2 to 2 trains exactly as one from 1 to 5; only the levels' names differ."""
    results = []
    for name, offset in (("above", 0), ("below", -3)):
        root = many(tmp_path / name, lambda u, i, offset=offset: 1 + (u * 7 + i * u) % 5 + offset)  # type: ignore[misc]
        dataset = ["dataset=ratings_csv", f"dataset.root={root}", "dataset.users=20", "dataset.items=12"]
        rows = "items" if "items" in model else "users"
        levels = [f"dataset.levels={[level + offset for level in LEVELS]}", f"dataset.liked={4 + offset}"]
        levels += [f"dataset.rows={rows}", "dataset.val_share=0.2", "dataset.test_share=0.2"]
        config = tiny(model, *dataset, *levels)
        results.append((train(config, tmp_path / f"run {name}"), load(tmp_path / f"run {name}").task))
    (above, _), (below, task) = results
    same = {key for key in above if key.startswith("test/") and "seconds" not in key}
    assert {"test/ndcg_at_10"} < same
    assert {key: above[key] for key in same} == {key: below[key] for key in same}
    assert (task.shift, task.levels) == (3, LEVELS)


def test_levels_are_inferred_from_the_file(tmp_path: Path) -> None:
    book = many(tmp_path / "book", lambda u, i: (u + i) % 11)
    data = RatingsCSV(str(book), 20, 12, "auto")
    assert (data.scale, data.continuous, data.shift) == (list(range(11)), False, 1)
    assert (data.levels[0], data.liked) == (1, 5)
    data.setup()
    table = (data.splits["test"].rating + data.splits["test"].target).dense()
    assert sorted(table.unique().tolist()) == list(range(12))  # a rating of 0 is stored as 1, because 0 means unrated
    jester = many(tmp_path / "jester", lambda u, i: ((u * 97 + i * 31) % 2001 - 1000) / 100)
    data = RatingsCSV(str(jester), 20, 12, "auto")
    assert (data.scale[0], data.scale[-1], len(data.scale), data.continuous) == (-9.76, 9.98, 21, True)
    data.setup()
    scored = data.splits["test"].target.values - data.shift
    assert len(scored.unique()) > 12
    config = composed("model=rbm_cf", "dataset=ratings_csv", f"dataset.root={jester}", "dataset.levels=auto")
    plain = with_inferred(config, resolved(config))
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
    counts = level_counts(torch.arange(200) % 3, ratings, levels, 4)
    assert counts.shape == (4, 4)
    for column in range(3):
        assert counts[column].tolist() == expected[column::3].bincount(minlength=4).tolist()
    assert not counts[3].any()


def test_a_missing_or_binary_csv_file_is_refused(tmp_path: Path) -> None:
    assert f"There is no file {tmp_path}/ratings.csv" in sentence(RatingsCSV(str(tmp_path), 9, 9, LEVELS))
    (tmp_path / "ratings.csv").write_bytes(b"user,item,rating\n\xff\xfe,1,2\n")
    assert "can't be read" in sentence(RatingsCSV(str(tmp_path), 9, 9, LEVELS))
    with pytest.raises(Refusal, match=r"set dataset\.root to the folder of ratings"):
        RatingsCSV(str(tmp_path / "ratings.csv"), 9, 9, LEVELS)


def test_a_run_refuses_other_users_or_items(tmp_path: Path) -> None:
    one, other = written(tmp_path, GOOD), written(tmp_path, GOOD)
    one.setup()
    other.setup()
    other.load_state_dict(one.state_dict())
    changed = written(tmp_path, GOOD.replace("eve", "zoe"))
    changed.setup()
    with pytest.raises(Refusal, match="users or items of the ratings have changed"):
        changed.load_state_dict(one.state_dict())


def test_fake_ratings_follow_two_tastes() -> None:
    data = FakeRatings(40, 30, LEVELS)
    data.setup()
    table = data.splits["test"].rating.dense()
    matching = torch.tensor([[(user - item) % 2 == 0 for item in range(30)] for user in range(40)])
    assert table[matching & (table > 0)].min() > 2.5 > table[~matching & (table > 0)].max() - 1


def test_models_refuse_rows_of_another_length(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"The network has 30 columns, but a row .* 40, for dataset.rows=items"):
        train(tiny("rbm_cf", "dataset.rows=items"), tmp_path)
    assert build("dataset", tiny("rbm_cf_items")["dataset"]).rows == "items"

"""Text data: TF-IDF vectors, splits, and messages about broken files."""

import codecs
import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from harm import MARKER, Evil
from sklearn.datasets import load_files

from scalian_exp.datasets.newsgroups import ARCHIVE, messages
from scalian_exp.datasets.texts import FakeTexts, Newsgroups, TextCSV
from scalian_exp.refusal import Refusal


def csv_folder(folder: Path, train: str, test: str = "label,text\na,red apple\n") -> Path:
    (folder / "train.csv").write_text(train, encoding="utf-8")
    (folder / "test.csv").write_text(test, encoding="utf-8")
    return folder


def texts(folder: Path) -> TextCSV:
    data = TextCSV(str(folder), vocabulary_size=8, batch_size=2, val_size=1)
    data.setup()
    return data


GOOD = 'label,text,more\na,red apple,1\nb,"green, sour apple",2\na,red cherry,3\n'


def test_vectors_have_unit_length_and_splits_are_disjoint(tmp_path: Path) -> None:
    data = texts(csv_folder(tmp_path, GOOD))
    assert data.class_names == ["a", "b"]
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [2, 1, 1]
    batch = next(iter(data.loader("train")))
    assert batch["text"].shape == (2, 8)  # padded: there are fewer words
    assert torch.allclose(batch["text"].norm(dim=1), torch.ones(2))
    seen = data.splits["train"].texts + data.splits["val"].texts  # type: ignore[attr-defined]
    assert sorted(seen) == ["green, sour apple", "red apple", "red cherry"]


def test_what_was_read_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = texts(csv_folder(tmp_path, GOOD))
    data.setup()
    words = len(data.vectorizer.vocabulary_)
    told = f"data         {tmp_path}: texts of 2 classes, {words} words: train 2, val 1, test 1\n"
    assert capsys.readouterr().out == told


def test_the_vocabulary_is_that_of_the_training_texts() -> None:
    data = FakeTexts(vocabulary_size=60, batch_size=4, val_size=16)
    data.setup()
    known = set(data.vectorizer.vocabulary_)
    assert known <= {word for text in data.splits["train"].texts for word in text.split()}  # type: ignore[attr-defined]


def test_empty_and_unknown_texts_are_refused(tmp_path: Path) -> None:
    data = texts(csv_folder(tmp_path, GOOD))
    assert data.vector("a red one").count_nonzero() == 1
    with pytest.raises(Refusal, match="The text is empty"):
        data.vector("  ")
    with pytest.raises(Refusal, match="None of the words in 'blue'"):
        data.vector("blue")


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        (
            "kind;text\na;red\n",
            "has no column label; its first line has kind, text: name the columns",
        ),
        ("text\nred\n", "has no column label"),
        ("label,text\na,red\nb,\n", "line 3: the text is empty"),
        ("label,text\n,red\n", "line 2: the label is empty"),
        ('label,text\na,"one\ntwo"\nb,red, green\n', "line 4: there are more fields than the 2 of the first line"),
        ('label,text\na,red\nb,"green\na,red\n', "line 3: double quotes are missing"),
        ('label,text\na,red\nb,"green\na,"red, round"\n', "line 3: double quotes are missing"),
        ('label,text\na,"a "red" one"\n', "line 2: double quotes are missing, or within a text not written twice"),
        ("label,text\n", "no records below its header"),
        ("label,text\na,the\nb,of\nc,and\n", "no vocabulary"),
    ],
)
def test_files_that_cannot_be_learned_from_are_refused(train: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=sentence):
        texts(csv_folder(tmp_path, train))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"There is no file .*train.csv; put it there"):
        texts(tmp_path)
    csv_folder(tmp_path, GOOD)
    (tmp_path / "test.csv").write_bytes(b"label,text\n\xff\xfe\n")
    with pytest.raises(Refusal, match=r"test.csv can't be read"):
        texts(tmp_path)
    with pytest.raises(Refusal, match=rf"is a file; .*: dataset.root={tmp_path}"):
        texts(tmp_path / "train.csv")


@pytest.mark.parametrize("header", ["label{}text{}more", "Label{} text{}More"])
@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_any_common_separator_is_recognised(mark: str, header: str, tmp_path: Path) -> None:
    records = f'\na{mark}red apple{mark}1\nb{mark}"green{mark} sour apple"{mark}2\na{mark}red cherry{mark}3\n'
    data = texts(csv_folder(tmp_path, header.format(mark, mark) + records))
    assert data.class_names == ["a", "b"]
    assert {text for split in ("train", "val") for text in data.splits[split].texts} == {  # type: ignore[attr-defined]
        "red apple", f"green{mark} sour apple", "red cherry",
    }  # fmt: skip


def test_a_validation_split_larger_than_the_data_is_refused_with_the_possible_sizes(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"dataset.val_size=500 .* the 3 training .*; give a number from 1 to 2\."):
        TextCSV(str(csv_folder(tmp_path, GOOD))).setup()


def test_changed_texts_do_not_fit_an_old_run(tmp_path: Path) -> None:
    """The columns would mean other words, which shapes alone can't reveal."""
    data = texts(csv_folder(tmp_path, GOOD))
    state = data.state_dict()
    again = texts(tmp_path)
    again.load_state_dict(state)
    changed = texts(csv_folder(tmp_path, GOOD + "b,yellow banana,4\na,yellow plum,5\n"))
    with pytest.raises(Refusal, match="The training texts have changed"):
        changed.load_state_dict(state)


def test_files_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    csv_folder(tmp_path, "\ufeff" + GOOD)
    assert len(texts(tmp_path).splits["train"]) == 2


def newsgroups_archive(file: Path, messages: dict[str, str]) -> str:
    """Write a miniature of the published archive, and return its hash."""
    with tarfile.open(file, "w:gz") as archive:
        for name, text in messages.items():
            member = tarfile.TarInfo(f"20news-bydate-{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_newsgroups_come_from_the_published_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages come from the archive, not scikit-learn's pickle, but are cleaned and ordered as by scikit-learn."""
    made = {
        "train/sci.space/1": "From: a@b\n\nrockets fly\n\n-- \nme",
        "train/rec.autos/2": "From: c\n\nmotors turn",
        "train/sci.space/3": "From: c\n\nrockets turn",
        "test/rec.autos/4": "From: d\n\nmotors fly",
        "evil/x/5": "From: d\n\nnothing",
    }
    sha256 = newsgroups_archive(tmp_path / ARCHIVE, made)
    (tmp_path / "20news-bydate_py3.pkz").write_bytes(codecs.encode(pickle.dumps(Evil(tmp_path / MARKER)), "zlib_codec"))
    remove = ("headers", "footers", "quotes")
    with pytest.raises(Refusal, match="broken or a different file; delete it"):
        Newsgroups(str(tmp_path)).setup()
    monkeypatch.setattr("scalian_exp.datasets.newsgroups.SHA256", sha256)
    data = Newsgroups(str(tmp_path), vocabulary_size=6, val_size=1, remove=[*remove])
    data.prepare_data()
    data.setup()
    assert data.class_names == ["rec.autos", "sci.space"]
    assert set(data.vectorizer.vocabulary_) <= {"rockets", "fly", "motors", "turn"}
    assert len(data.splits["test"]) == 1
    assert not (tmp_path / MARKER).exists()
    with tarfile.open(tmp_path / ARCHIVE) as archive:
        archive.extractall(tmp_path)
    theirs = load_files(tmp_path / "20news-bydate-train", encoding="latin1")
    ours = messages(tmp_path / ARCHIVE, ())["train"]
    assert [message.text for message in ours] == theirs.data
    assert [message.group for message in ours] == [theirs.target_names[label] for label in theirs.target]
    (tmp_path / ARCHIVE).unlink()
    with (
        patch("scalian_exp.datasets.download.OPENER.open", side_effect=OSError("no network")),
        pytest.raises(Refusal, match="could not be downloaded"),
    ):
        Newsgroups(str(tmp_path)).setup()

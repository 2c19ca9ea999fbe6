"""Files that are damaged, missing or can't be written."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from scalian_exp.checkpoint import check_intact
from scalian_exp.datasets.download import sha256_of
from scalian_exp.datasets.shards import is_complete
from scalian_exp.datasets.table_files import records, separator_of
from scalian_exp.files import failures_refused, read_json, read_text, read_yaml, reason, replacing, write_text
from scalian_exp.refusal import Refusal


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "new/a.txt"
    write_text(file, "before")
    with suppress(KeyError), replacing(file) as part:
        part.write_text("half")
        raise KeyError
    assert file.read_text() == "before"
    assert list(file.parent.iterdir()) == [file]
    write_text(file, "after")
    assert file.read_text() == "after"
    assert list(file.parent.iterdir()) == [file]


def test_two_writers_never_share_a_temporary_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "a") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")


def test_a_long_name_leaves_room_for_the_temporary_one(tmp_path: Path) -> None:
    write_text(tmp_path / ("ü" * 127), "text")  # 254 bytes of 255
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("{", "not JSON|not YAML"),
        ("[1, 2]", "not names with values"),
        ("5", "not names with values"),
        ("null", "is empty"),
        ("[" * 5000, "not JSON|not YAML"),
        (b"\xff\x00\x80", "not text|not YAML"),
    ],
)
def test_damaged_files_are_refused_by_name(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "damaged"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for read in (read_json, read_yaml):
        with pytest.raises(Refusal, match=sentence) as caught:
            read(file, advice="start anew")
        assert str(file) in str(caught.value)
        assert str(caught.value).endswith("; start anew.")


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['true']",
        "a: !own 1",
        "a: !!set {x}",
        "a: !!binary aGk=",
        "a: 2020-13-45",
        "a: &x [*x]",
        "a: &a [" + "1," * 99 + "]\nb: &b [" + "*a," * 99 + "]\nc: &c [" + "*b," * 99 + "]\nd: [*c, *c]",
        "a: b: c",
        "? [1]\n: 2",
    ],
)
def test_yaml_other_than_plain_data_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(Refusal, match="not YAML of plain values"):
        read_yaml(file)


def test_plain_yaml_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: &x [1, 2.5, null, true, text]\nb: *x\n")
    assert read_yaml(file) == {"a": [1, 2.5, None, True, "text"], "b": [1, 2.5, None, True, "text"]}
    file.write_text("[1]")
    assert read_yaml(file, list) == [1]


def test_reading_anything_but_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "file").write_text("")
    names = {"fifo": "a regular file", "": "a regular file", "loop": "form a circle", "dangling": "no such file"}
    for name, sentence in {**names, "file/below": "file is in the way", "a" * 300: "too long"}.items():
        with pytest.raises(Refusal, match=sentence):
            read_text(tmp_path / name)


def test_a_full_disk_is_a_refusal_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Refusal, match="No space is left on the disk; free some"), failures_refused():
        write_text(tmp_path / "a.txt", "text")
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full exists on Linux only")
def test_saving_tensors_on_a_full_disk_is_a_refusal() -> None:
    with pytest.raises(Refusal, match=r"is the disk full|No space is left"), failures_refused():
        torch.save({"weights": torch.zeros(100_000)}, "/dev/full")
    with pytest.raises(Refusal, match="/nowhere/at/all can't be written"), failures_refused():
        torch.save({"weights": torch.zeros(1)}, "/nowhere/at/all/a.ckpt")


def test_unexpected_errors_keep_their_tracebacks() -> None:
    assert reason(OSError("no errno")) is None
    assert reason(OSError(errno.EINVAL, "of a socket")) is None
    assert reason(RuntimeError("sizes don't match")) is None
    assert reason(ConnectionRefusedError(errno.ECONNREFUSED, "refused")) is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "reading",
    [
        check_intact,
        read_text,
        sha256_of,
        lambda file: is_complete(file, 1),
        lambda file: list(records(file)),
        lambda file: separator_of(file, ["a"]),
    ],
)
def test_no_reader_waits_for_a_named_pipe(reading: Callable[[Path], Any], tmp_path: Path) -> None:
    file = tmp_path / "named.pipe"
    os.mkfifo(file)
    with pytest.raises(Refusal, match=r"named\.pipe is not a regular file; \w+"):
        reading(file)

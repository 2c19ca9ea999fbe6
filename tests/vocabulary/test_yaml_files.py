"""Mistakes in a user's own config files are explained in one sentence with file and line."""

from pathlib import Path

import pytest
from commands import invoke

from scalian_exp import compose
from scalian_exp.refusal import Refusal

BROKEN = {
    "colon": (
        "defaults:\n  - vae\n\nnetwork\n  latent_dim: 3\n",
        "line 4, is not YAML: a colon is missing after a key",
    ),
    "tab": ("model:\n\tnetwork: 3\n", "line 2, is not YAML: found character '\\t' that cannot start any token"),
    "quote": ('# @package _global_\nmodel: "a\n', "line 2, is not YAML: found unexpected end of stream"),
    "bracket": ("model: [1,\n  2\n", "line 1, is not YAML: "),
    "twice": ("model:\n  a: 1\n  a: 2\n", "line 3, is not YAML: found duplicate key a"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_syntax_error_has_file_and_line(name: str, tmp_path: Path) -> None:
    text, sentence = BROKEN[name]
    file = tmp_path / "model" / f"{name}.yaml"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(Refusal) as caught:
        compose(f"model={name}", f"hydra.searchpath=[file://{tmp_path}]")
    assert f"{file}, {sentence}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("scalian-train", ["model=mine", "--config-dir", "conf"]),
        ("scalian-train", ["model=mine", "hydra.searchpath=[file://conf]", "--help"]),
        ("scalian-apply", ["run=run", "action=mine", "--config-dir", "conf"]),
        ("scalian-apply", ["hydra.searchpath=[file://conf]", "--help"]),
    ],
)
def test_commands_end_with_this_sentence(command: str, arguments: list[str], tmp_path: Path) -> None:
    for group in ("model", "action"):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / "mine.yaml").write_text("_target_: a.B\nlatent_dim\nhidden: 3\n")
    code, output = invoke(tmp_path, command, *arguments)
    assert code == 1
    assert "mine.yaml, line 2, is not YAML: a colon is missing after a key; correct it." in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("text", ["- vae\n", "vae\n"])
def test_a_file_without_keys_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(text)
    code, output = invoke(tmp_path, "scalian-train", "model=mine", f"hydra.searchpath=[file://{tmp_path}]")
    assert code == 1
    assert output.startswith(f"{tmp_path}/model/mine.yaml must hold keys with values")


@pytest.mark.parametrize("flags", [[], ["--help"], ["--cfg", "job"]])
def test_a_folder_of_configs_that_does_not_exist_is_refused(flags: list[str], tmp_path: Path) -> None:
    code, output = invoke(tmp_path, "scalian-train", "hydra.searchpath=[file://nowhere]", *flags)
    assert code == 1
    assert output == f"hydra.searchpath: there is no folder {tmp_path / 'nowhere'}; correct its path.\n"
    with pytest.raises(Refusal, match="there is no folder /nowhere/at/all"):
        compose("hydra.searchpath=[/nowhere/at/all]")


@pytest.mark.parametrize("text", ["model: {a: é}\n".encode("latin-1"), "model: 1\n".encode("utf-16"), b"a: \xff\n"])
@pytest.mark.parametrize("command", ["scalian-train", "scalian-apply"])
def test_a_file_that_is_not_utf_8_is_named(text: bytes, command: str, tmp_path: Path) -> None:
    group, run = ("model", []) if command == "scalian-train" else ("action", ["run=run"])
    file = tmp_path / "conf" / group / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    for flags in (
        ["--config-dir", "conf"],
        ["hydra.searchpath=[file://conf]"],
        ["hydra.searchpath=[file://conf]", "--help"],
    ):
        code, output = invoke(tmp_path, command, f"{group}=mine", *run, *flags)
        assert (code, len(output.splitlines())) == (1, 1), output
        assert f"conf/{group}/mine.yaml is not text in UTF-8; save it with this encoding." in output
    if group == "model":
        with pytest.raises(Refusal, match=r"mine\.yaml is not text in UTF-8"):
            compose("model=mine", f"hydra.searchpath=[file://{tmp_path}/conf]")


def test_a_character_that_yaml_forbids_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_bytes(b"model: a\x00b\n")
    code, output = invoke(tmp_path, "scalian-train", "model=mine", "--config-dir", ".")
    assert (code, len(output.splitlines())) == (1, 1), output
    assert "model/mine.yaml" in output
    assert "is not YAML" in output

"""Pressing TAB completes groups, options, keys, values, actions and runs, through Hydra's script for the shell."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scalian_exp import apply
from scalian_exp.train import main

PROGRAMS = {"scalian-train": main, "scalian-apply": apply.main}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a run, a folder of data, and configs of the user's own."""
    for name in ("outputs/vae/old", "data/faces", "conf/model"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outputs/vae/old/config.yaml").touch()
    (tmp_path / "conf/model/mine.yaml").write_text("# @package _global_\nmodel: {}\n")
    (tmp_path / "face.png").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scalian-train model=un", ["model=unet", "model=unet_no_skips"]),
        ("scalian-train mode", ["model.", "model/corruption=", "model/crf=", "model/network/backbone="]),
        ("scalian-train -m model=unet,fcn8", ["model=unet,fcn8s"]),
        ("scalian-train 'dataset/augmentation=[sc", ["dataset/augmentation=[scale"]),  # the quote is still open
        ("scalian-train dataset=mask_folder 'dataset.root=my data' dataset.fi", ["dataset.fit="]),
        ('scalian-train dataset=mask_folder dataset.root="my data" dataset.fi', ["dataset.fit="]),
        ("scalian-train dataset=mask_folder dataset.root=my\\ data dataset.fi", ["dataset.fit="]),
        ("scalian-train dataset/augmentation=[flip,sc", ["dataset/augmentation=[flip,scale"]),
        (
            "scalian-train +experiment=course/vae_b",
            ["+experiment=course/vae_beta_high", "+experiment=course/vae_beta_low"],
        ),
        ("scalian-train model=unet model.network.dr", ["model.network.dropout="]),
        ("scalian-train model=unet model.network.padded=", ["model.network.padded=false", "model.network.padded=true"]),
        ("scalian-train ~model.network.sk", []),  # a VAE has none
        ("scalian-train model=unet ~model.network.sk", ["~model.network.skips="]),
        (
            "scalian-train dataset=mask_folder dataset.fit=",
            ["dataset.fit=crop", "dataset.fit=pad", "dataset.fit=resize"],
        ),
        ("scalian-train trainer.max_epochs=", ["trainer.max_epochs=40"]),
        ("scalian-train see", ["seed="]),
        ("scalian-train compile=t", ["compile=true"]),
        ("scalian-train model=nonsense trainer.max_e", []),
        ("scalian-train --he", ["--help"]),
        ("scalian-train dataset.root=da", ["dataset.root=data/"]),
        ("scalian-train dataset.root=data/", ["dataset.root=data/faces/"]),
        ("scalian-train init_from=outputs/vae/", ["init_from=outputs/vae/old"]),
        ("scalian-train hydra.searchpath=[file://conf] model=mi", ["model=mine"]),
        ("scalian-apply ac", ["action="]),
        ("scalian-apply run=latest action=tra", ["action=traverse"]),
        ("scalian-apply run=la", ["run=latest"]),
        ("scalian-apply run=outputs/vae/", ["run=outputs/vae/old"]),
        ("scalian-apply run=latest action=traverse st", ["steps="]),
        ("scalian-apply run=latest action=reconstruct image=fa", ["image=face.png"]),
        ("scalian-apply run=latest device=c", ["device=cpu"]),
    ],
)
def test_a_word_goes_on_with(
    line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completed(line, "bash", monkeypatch, capsys).split()[: len(expected) or None] == expected
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    rest = completed(f"{line} model=vae", "fish", monkeypatch, capsys)  # the cursor is inside the line
    assert rest.splitlines()[: len(expected) or None] == expected


def completed(line: str, shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the program of a command line prints when a shell asks how the line goes on."""
    program = line.split()[0]
    monkeypatch.setattr(sys, "argv", [program, "-sc", f"query={shell}"])
    monkeypatch.setenv("COMP_LINE", line)
    before = sys.argv[:]
    PROGRAMS[program]()
    assert sys.argv == before
    return capsys.readouterr().out.strip("\n")


@pytest.mark.usefixtures("folder")
def test_every_run_is_offered_with_latest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    offered = completed("scalian-apply run=", "bash", monkeypatch, capsys).split()
    assert {"run=latest", "run=outputs/vae/old", "run=outputs/"} <= {*offered}
    assert "run=face.png" not in offered
    assert "seed=" in completed("scalian-train model=vae ", "zsh", monkeypatch, capsys).split()


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
def test_bash_completes(folder: Path) -> None:
    """The documented command is evaluated; then bash's function for TAB runs, without loading torch."""
    places = {"scalian-train": "train", "scalian-apply": "apply"}
    (folder / "bin").mkdir()
    for program, module in places.items():
        file = folder / "bin" / program
        check = "assert 'torch' not in sys.modules"
        file.write_text(f"#!{sys.executable}\nimport sys\nfrom scalian_exp.{module} import main\nmain()\n{check}\n")
        file.chmod(0o755)
    script = 'eval "$(scalian-train -sc install=bash)"\neval "$(scalian-apply -sc install=bash)"\n'
    lines = {
        "scalian-train model=un": "model=unet model=unet_no_skips",
        "scalian-apply run=x action=tra": "action=traverse",
    }
    for line in lines:
        words = shlex.split(line)
        script += f"COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_CWORD={len(words) - 1}\n"
        script += f'complete -p {words[0]} | grep -q "F hydra_bash_completion" && hydra_bash_completion\n'
        script += 'echo "${COMPREPLY[@]}"\n'
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [*lines.values()], done.stderr

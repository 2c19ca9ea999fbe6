"""Runs are found by their age: run=latest, a folder of runs, and scalian-apply's list."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from commands import QUICK, command

from scalian_exp.commandline.runs import run_meant, runs_below, with_newest
from scalian_exp.refusal import Refusal

HOUR = 3600
TRAINED = "checkpoints/best.ckpt"


def make_run(folder: Path, hours: float, *files: str, **metrics: object) -> Path:
    """Write the files of a run that was begun some hours ago."""
    for name in ("config.yaml", *files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    nodes = {"model": {"network": {"_target_": "a.Net"}}, "dataset": {"_target_": "a.Numbers"}, "loss": {}}
    text = yaml.safe_dump({name: {"_target_": "a.B", **node} for name, node in nodes.items()})
    (folder / "config.yaml").write_text(text)
    if metrics:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    os.utime(folder / "config.yaml", (time.time() - hours * HOUR,) * 2)
    return folder


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of different ages below outputs/ in the current folder; the newest has no checkpoint yet."""
    monkeypatch.chdir(tmp_path)
    outputs = Path("outputs")
    make_run(
        outputs / "z/old", 50, TRAINED, status="finished", monitor="val/loss", **{"test/loss": 9, "test/psnr": 7.5}
    )
    make_run(outputs / "multirun/sweep/0_job", 3, TRAINED, status="finished", monitor="val/epochs", best=4.0)
    make_run(outputs / "multirun/sweep/1_job", 2, TRAINED, status="interrupted", monitor="val/miou", best=0.25)
    make_run(outputs / "begun", 0)
    make_run(outputs / "begun/sample/inside", 0, TRAINED)  # not a run of its own: it lies inside one
    make_run(outputs / ".hidden", 0, TRAINED)
    return outputs


def test_the_newest_usable_run_is_meant(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = ["begun", "multirun/sweep/1_job", "multirun/sweep/0_job", "z/old"]
    assert runs_below(outputs) == [outputs / name for name in order]
    newest = outputs / "multirun/sweep/1_job"
    assert run_meant("run", "latest") == newest
    assert capsys.readouterr().out == f"run          {newest}, the newest of 3 below outputs\n"
    assert run_meant("run", "outputs/multirun") == run_meant("run", ".") == newest
    assert run_meant("run", "outputs/z") == outputs / "z/old"
    capsys.readouterr()
    for itself in (outputs / "begun", newest, newest / TRAINED, outputs / "nowhere"):
        assert run_meant("run", str(itself)) == itself
    Path("latest").mkdir()
    assert run_meant("run", "latest") == Path("latest"), "a folder of this name is meant"
    assert not capsys.readouterr().out


def test_paths_take_the_place_of_latest_in_the_arguments_of_a_training(outputs: Path) -> None:
    newest = outputs / "multirun/sweep/1_job"
    (outputs / "multirun/sweep/multirun.yaml").touch()
    given = ["-m", "resume=latest", "sweep.resume=latest", "+init_from=latest", "init_from=outputs/z", "init_from=null"]
    now = ["-m", f"resume={outputs}/begun", f"sweep.resume={outputs}/multirun/sweep", f"+init_from={newest}"]
    assert with_newest(given) == [*now, f"init_from={outputs}/z/old", "init_from=null"]
    unchanged = ["resume=outputs/z", "seed=1", "init_from=a.ckpt", "init_from='outputs/z'", "model=vae"]
    assert with_newest(unchanged) == unchanged


@pytest.mark.parametrize("argument", ["resume=latest", "sweep.resume=latest", "init_from=latest"])
def test_latest_is_refused_where_there_is_no_run(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match=f"{argument}: there is no .* below outputs/"):
        with_newest([argument])
    assert "below outputs/" in command(argument, cwd=tmp_path).stderr


def test_the_last_runs_are_listed_with_model_data_score_and_age(outputs: Path) -> None:
    for number in range(8):
        make_run(outputs / f"z/older{number}", 100 + number)
    (outputs / "multirun/sweep/0_job/metrics.json").write_text("damaged")
    result = command(cwd=Path(), module="apply")
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["model", "data", "set", "score", "begun", "run"]
    told = [" ".join(line.split()) for line in lines]
    assert told[:4] == [
        "Net Numbers (unfinished) just now run=outputs/begun",
        "Net Numbers val/miou 0.25 (interrupted) 2 hours ago run=outputs/multirun/sweep/1_job",
        "Net Numbers (metrics.json is damaged) 3 hours ago run=outputs/multirun/sweep/0_job",
        "Net Numbers test/psnr 7.5 2 days ago run=outputs/z/old",
    ]
    assert told[9].endswith("run=outputs/z/older5")
    assert told[10] == "… and 2 older ones below outputs/"
    program, *arguments = shlex.split(told[12].removeprefix("use one "))
    assert Path(program).name == "scalian-apply"
    assert arguments == ["run=outputs/multirun/sweep/1_job", "action=evaluate"]


def test_the_list_names_chosen_options_and_imports_no_torch(tmp_path: Path) -> None:
    assert command("model=autoencoder", *QUICK, "test=false", cwd=tmp_path).returncode == 0
    code = (
        "import sys\nfrom scalian_exp.apply import main\nsys.argv[1:] = []\nmain()\nassert 'torch' not in sys.modules"
    )
    listed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert not listed.stderr
    assert " ".join(listed.stdout.splitlines()[1].split()[:3]) == "autoencoder fake_images val/squared_error"
    applied = command("run=latest", "action=evaluate", cwd=tmp_path, module="apply")
    assert applied.returncode == 0
    (run,) = (tmp_path / "outputs/autoencoder_fake_images").iterdir()
    assert applied.stdout.startswith(f"run          {run.relative_to(tmp_path)}, the newest of 1 below outputs\n")
    again = command("resume=latest", "trainer.max_epochs=2", cwd=tmp_path)
    assert f"resume       {run.relative_to(tmp_path)}" in again.stdout
    assert json.loads((run / "metrics.json").read_text())["epochs"] == 2


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("outputs/z/od", "outputs/z/old"),
        ("outputs/z/olds", "outputs/z/old"),
        ("outputs/y/old", "outputs/z/old"),
        ("outputs/multirun/sweep/0_jo", "outputs/multirun/sweep/0_job"),
        ("0_job", "outputs/multirun/sweep/0_job"),
    ],
)
@pytest.mark.parametrize("key", ["run", "init_from", "resume"])
@pytest.mark.usefixtures("outputs")
def test_a_misspelt_run_is_refused_with_its_neighbours(wrong: str, near: str, key: str) -> None:
    arguments = ["model=vae"] if key == "init_from" else ["action=evaluate"] if key == "run" else []
    result = command(f"{key}={wrong}", *arguments, cwd=Path(), module="apply" if key == "run" else "train")
    assert result.returncode == 1
    assert f"Did you mean {key}={near}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_nothing_is_proposed_where_there_is_no_run(tmp_path: Path) -> None:
    refused = command("run=outputs/vae", "action=evaluate", cwd=tmp_path, module="apply").stderr
    assert "neither a checkpoint nor a run folder" in refused
    assert "Did you mean" not in refused

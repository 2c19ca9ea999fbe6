"""Run and sweep folders: refusals change nothing, a user's files stay, and every state can be resumed."""

import errno
import re
import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from commands import QUICK, command
from tools import tree

from scalian_exp import folders
from scalian_exp.folders import State
from scalian_exp.refusal import Refusal
from scalian_exp.stored import metrics_of

REFUSED = [*QUICK, "dataset.val_size=-3"]
"""refused before a run begins"""
REFUSED_BY_THE_DATA = ["model=vae", "dataset=folder", "dataset.root=nowhere", *QUICK[:4]]


@pytest.mark.parametrize("overrides", [REFUSED, REFUSED_BY_THE_DATA])
def test_a_refused_start_changes_nothing(overrides: list[str], tmp_path: Path) -> None:
    """The folder is an empty one of the user's, has the user's files or another program's .hydra, or doesn't exist."""
    lab, used = tmp_path / "lab", tmp_path / "used"
    lab.mkdir()
    (used / ".hydra").mkdir(parents=True)
    for name in ("notes", "train.log", ".hydra/config.yaml", ".hydra/own"):
        (used / name).write_text("mine")
    before = tree(tmp_path)
    for folder in ("lab/run1", "lab", ".", "used", "new/deep/run", "used/run", "a/../b", "a/b/../../c/../d"):
        result = command(*overrides, f"hydra.run.dir={tmp_path}/{folder}", cwd=lab)
        assert result.returncode == 1, folder
        assert tree(tmp_path) == before, folder
    assert command(*overrides, cwd=lab).returncode == 1
    assert tree(tmp_path) == before


def test_an_interruption_before_a_run_begins_changes_nothing(tmp_path: Path) -> None:
    with patch("scalian_exp.train.checked", side_effect=KeyboardInterrupt):
        result = command(*QUICK, "hydra.run.dir=a/b", cwd=tmp_path)
    assert result.returncode == 130
    assert tree(tmp_path) == {}


def test_only_the_folder_that_a_path_with_dots_leads_to_is_created(tmp_path: Path) -> None:
    """Folders that the path only passes through are not created, neither for runs nor for sweeps."""
    (tmp_path / "links").mkdir()
    (tmp_path / "links/there").symlink_to(tmp_path / "far/away")
    (tmp_path / "far/away").mkdir(parents=True)
    overrides = [*QUICK, "model=autoencoder", "test=false"]
    assert command(*overrides, "hydra.run.dir=a/../run", cwd=tmp_path).returncode == 0
    assert command(*overrides, "hydra.run.dir=links/there/../run", cwd=tmp_path).returncode == 0
    assert command("-m", *overrides, "seed=1", "hydra.sweep.dir=b/../sweep", cwd=tmp_path).returncode == 0
    assert (tmp_path / "far/run/config.yaml").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far", "links", "run", "sweep"]
    assert len(folders.runs_in(tmp_path / "sweep")) == 1
    assert (tmp_path / "sweep/summary.csv").is_file()
    assert command("sweep.resume=b/../sweep", cwd=tmp_path).returncode == 1  # no such path, because b doesn't exist


def test_a_refused_resume_and_a_refused_sweep_change_nothing(tmp_path: Path) -> None:
    assert command(*QUICK, "test=false", "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    assert command("-m", *QUICK, "test=false", "seed=1,2", "hydra.sweep.dir=sweep", cwd=tmp_path).returncode == 0
    before = tree(tmp_path)
    for arguments in (
        ["resume=run", "trainer.max_epochs=0"],
        ["resume=run", "dataset=mnist"],
        [*QUICK, "hydra.run.dir=run"],
        ["-m", *QUICK, "seed=1,2", "hydra.sweep.dir=sweep"],
        ["-m", *QUICK, "seed=1,3", "sweep.resume=sweep"],
        ["-m", *QUICK, "hydra/sweeper=optuna", "hydra.sweep.dir=nothing/to_search"],
    ):
        assert command(*arguments, cwd=tmp_path).returncode == 1, arguments
        assert tree(tmp_path) == before, arguments


def test_folders_named_by_the_time_never_collide(tmp_path: Path) -> None:
    """The pattern is constant, like the time of a very coarse clock."""
    for _ in range(2):
        assert command(*QUICK, "test=false", "hydra.run.dir='runs/${now:same}'", cwd=tmp_path).returncode == 0
        sweep_dir = "hydra.sweep.dir='sweeps/${now:same}'"
        assert command("-m", *QUICK, "test=false", "seed=1", sweep_dir, cwd=tmp_path).returncode == 0
    for kind in ("runs", "sweeps"):
        assert {path.name for path in (tmp_path / kind).iterdir()} == {"same", "same_2"}
    for sweep in (tmp_path / "sweeps").iterdir():
        assert len(folders.runs_in(sweep)) == 1
        assert (sweep / "summary.csv").exists()


def test_a_folder_has_one_state(tmp_path: Path) -> None:
    assert folders.state(tmp_path / "nowhere") is State.NONE
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/config.yaml").touch()
    assert folders.state(tmp_path) is State.NONE
    assert folders.runs_in(tmp_path) == []
    (tmp_path / "checkpoints").mkdir()
    for name, expected in {
        "config.yaml": State.CLAIMED,
        "checkpoints/start.ckpt": State.STARTED,
        "checkpoints/best.ckpt": State.STARTED,
        "checkpoints/last.ckpt": State.SAVED,
        "metrics.json": State.SAVED,  # damaged
    }.items():
        (tmp_path / name).touch()
        assert folders.state(tmp_path) is expected, name
        assert folders.can_resume(tmp_path)
    (tmp_path / "metrics.json").write_text('{"status": "interrupted"}')
    assert folders.state(tmp_path) is State.SAVED
    for name in ("start", "last"):
        (tmp_path / f"checkpoints/{name}.ckpt").unlink()
    assert not folders.can_resume(tmp_path)
    (tmp_path / "metrics.json").write_text('{"status": "finished"}')
    assert folders.state(tmp_path) is State.FINISHED


def test_from_each_state_a_printed_command_finishes_the_run(tmp_path: Path) -> None:
    """Both resuming and repeating the first command print it."""
    first = [*QUICK, "hydra.run.dir='run, 1'"]
    run = tmp_path / "run, 1"
    assert command(*first, cwd=tmp_path).returncode == 0
    scores = metrics_of(run)["test/loss"]
    for remaining in ([".hydra"], ["config.yaml", ".hydra"], ["config.yaml", "checkpoints/start.ckpt"]):
        if "checkpoints/start.ckpt" in remaining:
            shutil.rmtree(run)
            with patch("pytorch_lightning.Trainer.test", side_effect=KeyboardInterrupt):
                interrupted = command(*first, "~callbacks.last", cwd=tmp_path)  # best.ckpt and start.ckpt
            assert interrupted.returncode == 130
            arguments = advised(interrupted.stdout)
        else:
            for path in [*run.rglob("*")]:
                if path.is_file() and not any(str(path.relative_to(run)).startswith(name) for name in remaining):
                    path.unlink()
            again = command("resume=run, 1", cwd=tmp_path) if remaining == [".hydra"] else command(*first, cwd=tmp_path)
            assert again.returncode == 1
            assert "of 1 runs" not in again.stderr
            arguments = advised(again.stderr)
        result = command(*arguments, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert metrics_of(run)["test/loss"] == scores
        assert metrics_of(run)["status"] == "finished"


def advised(text: str) -> list[str]:
    """Return the arguments of the one command that a message prints."""
    (arguments,) = re.findall(r"scalian-train (.*)$", text, re.MULTILINE)
    return shlex.split(arguments)


@pytest.mark.parametrize("moment", ["describe", "conclude"])
def test_an_interruption_outside_training_prints_a_command_that_finishes_the_run(moment: str, tmp_path: Path) -> None:
    def interrupted(*arguments: Any) -> None:
        if moment == "describe":
            (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(arguments[0]))
        raise KeyboardInterrupt

    with patch(f"scalian_exp.run.record.{moment}", interrupted):
        result = command(*QUICK, "hydra.run.dir=run", cwd=tmp_path)
    assert result.returncode == 130
    assert "before anything" not in result.stderr
    assert command(*advised(result.stdout), cwd=tmp_path).returncode == 0
    assert metrics_of(tmp_path / "run")["status"] == "finished"


def test_a_sweep_whose_resume_was_killed_can_be_resumed(tmp_path: Path) -> None:
    """Hydra rewrites multirun.yaml and .hydra in place."""
    assert command("-m", *QUICK, "test=false", "seed=1", "hydra.sweep.dir=sweep", cwd=tmp_path).returncode == 0
    (job,) = folders.runs_in(tmp_path / "sweep")

    def cut_short(*_: Any, **__: Any) -> None:
        (tmp_path / "sweep/multirun.yaml").write_text("hydra:\n")
        (job / ".hydra/overrides.yaml").write_text("")
        raise SystemExit(9)

    with patch("hydra._internal.core_plugins.basic_sweeper.BasicSweeper.sweep", cut_short):
        assert command("sweep.resume=sweep", cwd=tmp_path).returncode == 9
    assert command("sweep.resume=sweep", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "sweep/.multirun.yaml").exists()
    assert command("sweep.resume=sweep", cwd=tmp_path).returncode == 0


def test_an_action_that_fails_leaves_nothing(tmp_path: Path) -> None:
    assert command(*QUICK, "test=false", "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    before = tree(tmp_path)
    with patch("scalian_exp.actions.sample.save_figure", side_effect=OSError(errno.ENOSPC, "full", "grid.png")):
        assert command("run=run", "action=sample", cwd=tmp_path, module="apply").returncode == 1
    assert command("run=run", "action=sample", "count=-1", cwd=tmp_path, module="apply").returncode == 1
    assert tree(tmp_path) == before


def test_actions_in_a_sweeps_folder_do_not_change_its_settings(tmp_path: Path) -> None:
    assert command("-m", *QUICK, "test=false", "seed=1,2", "hydra.sweep.dir=sweep", cwd=tmp_path).returncode == 0
    before = (tmp_path / "sweep/multirun.yaml").read_bytes()
    runs = ",".join(run.name for run in folders.runs_in(tmp_path / "sweep"))
    assert command("-m", f"run={runs}", "action=sample", cwd=tmp_path / "sweep", module="apply").returncode == 0
    assert (tmp_path / "sweep/multirun.yaml").read_bytes() == before


def test_new_folders_for_results_never_collide(tmp_path: Path) -> None:
    for name in ("at", "at_2", "at_3"):
        with folders.results_in(tmp_path / "new/at") as folder:
            assert folder == tmp_path / "new" / name
    with suppress(ArithmeticError), folders.results_in(tmp_path / "new/at") as folder:
        (folder / "half").touch()
        raise ArithmeticError
    assert len([*tmp_path.rglob("*")]) == 4


def test_only_partial_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "deep/er").mkdir(parents=True)
    ours = [tmp_path / ".config.yaml.0123abcd.part", tmp_path / "checkpoints/.last.ckpt.89abcdef.part"]
    theirs = [tmp_path / ".film.part", tmp_path / "a.part", tmp_path / "deep/er/.config.yaml.0123abcd.part"]
    for file in [*ours, *theirs]:
        file.touch()
    folders.remove_parts(tmp_path)
    assert [file.exists() for file in [*ours, *theirs]] == [False] * 2 + [True] * 3


def test_links_in_the_folders_of_wandbs_starts_do_not_prevent_resuming(tmp_path: Path) -> None:
    """W&B links to its own logs there and never writes there again; a folder that is a link itself is refused."""
    (tmp_path / "run/wandb/offline-run-1/logs").mkdir(parents=True)
    (tmp_path / "log").touch()
    (tmp_path / "run/wandb/offline-run-1/logs/debug.log").symlink_to(tmp_path / "log")
    (tmp_path / "run/wandb/latest-run").symlink_to("offline-run-1")
    folders.check_links(tmp_path / "run")
    (tmp_path / "run/wandb/run-2").symlink_to(tmp_path)
    with pytest.raises(Refusal, match="run-2 is a link out of the folder"):
        folders.check_links(tmp_path / "run")

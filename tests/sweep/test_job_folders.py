"""A job of a sweep whose folder can't be created fails, and the other jobs run."""

import shutil
from pathlib import Path

import pytest
from commands import QUICK, command
from tools import read_csv

from scalian_exp import folders
from scalian_exp.sweep.job_folders import leave_out_shared, name_of
from scalian_exp.sweep.stored_overrides import objection_to_hydras


def statuses(sweep: Path) -> list[str]:
    return [row["status"] for row in read_csv(sweep / "summary.csv")]


def test_a_job_without_a_folder_fails_and_the_others_run(tmp_path: Path) -> None:
    """A file is in the place of a job's folder or of its .hydra folder; once removed, the sweep can be resumed."""
    arguments = ["-m", *QUICK, "test=False", "seed=0,1,2", "hydra.sweep.dir=sweep"]
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    jobs = [sweep / f"{k}_seed-{k}" for k in range(3)]
    jobs[0].touch()
    jobs[1].mkdir()
    (jobs[1] / ".hydra").touch()
    result = command(*arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert f"{jobs[0].name}: something of this name exists already; remove it" in result.stdout
    assert f"{jobs[1].name}/.hydra: something of this name exists already; remove it" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert folders.runs_in(sweep) == [jobs[2]]
    assert statuses(sweep) == ["failed", "failed", "finished"]
    jobs[0].unlink()
    (jobs[1] / ".hydra").unlink()
    assert command("sweep.resume=sweep", cwd=tmp_path).returncode == 0
    assert statuses(sweep) == 3 * ["finished"]
    assert sorted(path for path in sweep.iterdir() if path.is_dir()) == jobs


def test_names_of_folders_fit_the_file_system() -> None:
    for text in ("x" * 300, "é" * 300, "学" * 300):
        name = name_of(12345, f"note={text}")
        assert name.startswith("12345_note-")
        assert 100 < len(name.encode()) <= 255


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["model=autoencoder", "seed=0,1"], ["0_seed-0", "1_seed-1"]),
        (["model=autoencoder", "seed=3"], ["0"]),
        (
            ["model=vae,autoencoder", "seed=3"],
            ["0_model-vae", "1_model-autoencoder"],
        ),
        (
            ["model=vae", "loss.beta=1,2", "+dataset.val_size=choice(8)", "model.optimizer.lr=range(1,3)"],
            [f"{k}_loss.beta-{1 + k // 2}_model.optimizer.lr-{1 + k % 2}" for k in range(4)],
        ),
        (["model=vae", "hydra.job.config.override_dirname.exclude_keys=[seed]", "seed=0,1"], None),
    ],
)
def test_folders_are_named_by_what_is_swept_alone(
    overrides: list[str], names: list[str] | None, tmp_path: Path
) -> None:
    """The jobs fail at once, for want of data, but their folders have names; the user's own list of keys is kept."""
    given = ["-m", *overrides, "dataset=image_folder", "dataset.root=nowhere", "hydra.sweep.dir=sweep"]
    command(*given, cwd=tmp_path)
    made = sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir())
    shared = "dataset.root-nowhere_dataset-image_folder_model-vae"
    assert made == (names or [f"0_{shared}", f"1_{shared}"])


def test_a_resumed_sweep_keeps_its_folders(tmp_path: Path) -> None:
    """The names of a search's jobs, too, and those of a sweep that names all overrides, as earlier versions did."""
    quick = [*QUICK, "test=false"]
    earlier = "hydra.job.config.override_dirname.exclude_keys=[]"
    for folder, given in {"new": [], "old": [earlier]}.items():
        sweep = tmp_path / folder
        assert command("-m", *quick, "seed=0,1", f"hydra.sweep.dir={folder}", *given, cwd=tmp_path).returncode == 0
        if given:  # earlier versions didn't record the list, as it was Hydra's own
            for file in sweep.rglob("*.yaml"):
                file.write_text(file.read_text().replace(f"- {earlier}\n", ""))
        before = sorted(path.name for path in sweep.iterdir())
        shutil.rmtree(next(sweep.glob("1_*")))
        assert command(f"sweep.resume={folder}", cwd=tmp_path).returncode == 0
        assert sorted(path.name for path in sweep.iterdir()) == before
        assert statuses(sweep) == 2 * ["finished"]
    assert {path.name for path in (tmp_path / "new").glob("[01]_*")} == {"0_seed-0", "1_seed-1"}
    assert all("dataset-fake_images" in path.name for path in (tmp_path / "old").glob("[01]_*"))


def test_a_stored_list_of_shared_keys_may_only_name_keys() -> None:
    """A resolver in it would run when a sweep of someone else is resumed."""
    (ours,) = leave_out_shared(["model=vae", "seed=0,1", "dataset/augmentation=[flip]"], [])
    assert ours.endswith('=["model","dataset/augmentation"]')
    assert not objection_to_hydras(ours)
    assert objection_to_hydras(ours.replace("model", "${oc.env:HOME}"))

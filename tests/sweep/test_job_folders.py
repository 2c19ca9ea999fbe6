"""A job of a sweep whose folder can't be created fails, and the other jobs run."""

from pathlib import Path

from commands import QUICK, command
from tools import read_csv

from scalian_exp import folders
from scalian_exp.sweep.job_folders import name_of


def statuses(sweep: Path) -> list[str]:
    return [row["status"] for row in read_csv(sweep / "summary.csv")]


def test_a_job_without_a_folder_fails_and_the_others_run(tmp_path: Path) -> None:
    """A file is in the place of a job's folder or of its .hydra folder; once removed, the sweep can be resumed."""
    arguments = ["-m", *QUICK, "test=False", "seed=0,1,2", "hydra.sweep.dir=sweep"]
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    overrides = [*QUICK, "test=False"]
    jobs = [sweep / name_of(k, ",".join(sorted([*overrides, f"seed={k}"]))) for k in range(3)]
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

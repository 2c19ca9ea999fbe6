"""What lies in a run's and in a sweep's folder. No torch."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from itertools import count
from pathlib import Path

from scalian_exp.files import read_json
from scalian_exp.refusal import Refusal

CONFIG, METRICS, ENVIRONMENT, LOG = "config.yaml", "metrics.json", "environment.json", "train.log"
CHECKPOINTS = "checkpoints"
BEST, LAST, START = (f"{CHECKPOINTS}/{name}.ckpt" for name in ("best", "last", "start"))
CURVES, FIGURES = "csv/metrics.csv", "figures"
ERROR = "error.txt"
"""why a sweep's job failed"""
OVERRIDES, COMPOSED, CHOICES = (f".hydra/{name}.yaml" for name in ("overrides", "config", "hydra"))
"""what Hydra writes of a run: the overrides it was started with, what they compose, and the choice of each group"""
MULTIRUN = "multirun.yaml"
BEFORE = ".multirun.yaml"
"""multirun.yaml as it was, while a resume lets Hydra write it anew, which no kill may cut short"""
STUDY, DATABASE = "study.json", "study.db"
"""of a search: where its trials are kept and what prunes them, for callbacks of the jobs; and the trials"""
PRUNED = "pruned"
"""attribute of a trial whose job was ended early"""
TABLE, MEANS, MARKDOWN, PAGE = "summary.csv", "summary_means.csv", "summary.md", "report.html"
"""of a sweep: its jobs, their means over repetitions, both as Markdown, and the page of scalian-report"""
PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")
"""what files.replacing calls a file that is being written"""


class State(Enum):
    """How far the run in a folder has come; a kill at any moment leaves one of these."""

    NONE = "no run"
    """no config.yaml: the folder is new, or its start was killed before the run began"""
    CLAIMED = "claimed"
    """no checkpoint yet: the run goes on from its beginning"""
    STARTED = "started"
    """start.ckpt and perhaps best.ckpt: it goes on from before its first step"""
    SAVED = "saved"
    """last.ckpt: it goes on from there"""
    FINISHED = "finished"
    """metrics.json holds its results"""


def state(folder: Path) -> State:
    """The state of the run in a folder."""
    if not (folder / CONFIG).is_file():
        return State.NONE
    if status(folder) == "finished":
        return State.FINISHED
    if file := checkpoint(folder, "last", "start"):
        return {"last": State.SAVED, "start": State.STARTED}[file.stem]
    return State.CLAIMED


def goes_on(folder: Path) -> bool:
    """Can the run in a folder be resumed? Not from best.ckpt alone, which no kill leaves: others were removed."""
    resumable = checkpoint(folder, "last", "start") or not checkpoint(folder, "best")
    return state(folder) is not State.NONE and bool(resumable)


def status(folder: Path) -> object:
    """What metrics.json says of how the run ended; None if it is missing or damaged."""
    try:
        return read_json(folder / METRICS).get("status")
    except Refusal:
        return None


def checkpoint(folder: Path, *names: str) -> Path | None:
    """The first of these checkpoints that a run folder has, as "best", "last"."""
    return next((file for name in names if (file := folder / CHECKPOINTS / f"{name}.ckpt").exists()), None)


def checkpoint_file(path: Path) -> Path:
    """The checkpoint that a path means: itself, or the best one of a run folder, else its last.

    Raises:
        Refusal: if there is none.
    """
    if path.is_file():
        return path
    for name in (BEST, LAST):
        if (file := path / name).is_file():
            return file
    raise Refusal(f"{path} is neither a checkpoint nor a run folder with {BEST} or {LAST}.")


def results(folder: Path) -> list[str]:
    """Names of files in a folder that a run writes, relative to it. Without config.yaml they are no run's."""
    patterns = (METRICS, "checkpoints/*.ckpt", "csv/metrics.csv", "figures/*.png")
    return [str(file.relative_to(folder)) for pattern in patterns for file in sorted(folder.glob(pattern))]


def runs_in(folder: Path) -> list[Path]:
    """The run folders in a folder, such as a sweep's; Hydra's own .hydra is none."""
    return sorted(file.parent for file in folder.glob(f"[!.]*/{CONFIG}"))


def multirun(folder: Path) -> Path:
    """The file that tells how the sweep in a folder was started."""
    before = folder / BEFORE
    return before if before.is_file() else folder / MULTIRUN


FROM_HERE = {"dirpath", "save_dir", "default_root_dir"}
"""arguments of Lightning's that take a relative path from the current folder, not from the run's"""


def leads_out(key: str, text: str, folder: Path) -> bool:
    """Is a config's text at this key an address, or a path that lies outside of a run's folder?"""
    start = Path() if key.rpartition(".")[2] in FROM_HERE else folder
    if re.match(r"[A-Za-z][\w+.-]*:\S", text):
        return True
    path = Path(os.path.expandvars(Path(text).expanduser())) if text.startswith("~") else Path(os.path.expandvars(text))
    leaves = path.is_absolute() or ".." in path.parts or start != folder
    return leaves and not (start / path).resolve().is_relative_to(folder.resolve())


def check_links(folder: Path) -> None:
    """Refuse symbolic links that lead out of a folder in which files are going to be written: it may be a stranger's.

    Raises:
        Refusal: if there is one.
    """
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in folders + files):
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(folder.resolve()):  # a loop stays
                raise Refusal(
                    f"{path} is a link out of the folder, to {path.readlink()}, which would be written to; put a "
                    "copy in its place, or remove it."
                )


def remove_parts(folder: Path) -> None:
    """Remove the half-written files that a killed process has left in a run folder."""
    for place in (folder, folder / CHECKPOINTS, (folder / CURVES).parent):
        for file in place.glob(".*.part"):
            if PART.fullmatch(file.name):
                file.unlink(missing_ok=True)


def is_run(folder: Path) -> bool:
    """Is the folder a run's, or that of a sweep's job, even one that failed before it began?"""
    return (folder / CONFIG).is_file() or (folder / OVERRIDES).is_file()


def jobs_of(folder: Path) -> list[Path]:
    """The folder itself if it is a run's, else the runs in it, a sweep's in the order of its jobs."""
    if is_run(folder):
        return [folder]
    return sorted(filter(is_run, folder.glob("[!.]*")), key=lambda run: (job_number(run), run))


def job_number(folder: Path) -> int:
    """The number at the beginning of a job's folder; 0 of other runs."""
    number = folder.name.partition("_")[0]
    return int(number) if number.isdecimal() else 0


def make_new(folder: Path) -> Path:
    """Make a folder that doesn't exist yet: this one, else `<folder>_2` and so on, which is returned."""
    for number in count(1):
        path = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
    raise AssertionError


@contextmanager
def results_in(folder: Path) -> Iterator[Path]:
    """Make a new folder for results, of this name or a similar one. If something fails, what was made is removed."""
    missing = [path for path in folder.parents if not path.exists()]
    new = make_new(folder)
    try:
        yield new
    except BaseException:
        shutil.rmtree(new)
        with suppress(OSError):
            for path in missing:
                path.rmdir()
        raise

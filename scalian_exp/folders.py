"""The files in the folders of runs and sweeps: their names, and what they say about a run's progress. No torch."""

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
WANDB = "wandb"
"""the folder in a run folder in which W&B has one for each start"""
TRACKING = "tracking.json"
"""the identifiers of a run in trackers of experiments, such as Weights & Biases"""
CHECKPOINTS = "checkpoints"
BEST, LAST, START = (f"{CHECKPOINTS}/{name}.ckpt" for name in ("best", "last", "start"))
CURVES, FIGURES = "csv/metrics.csv", "figures"
WEIGHTS, DESCRIPTION = "model.safetensors", "config.json"
"""files of an exported model: its weights, and what rebuilds it from them"""
ERROR = "error.txt"
"""says why a job of a sweep failed"""
OVERRIDES, COMPOSED, CHOICES = (f".hydra/{name}.yaml" for name in ("overrides", "config", "hydra"))
"""what Hydra writes for a run: its overrides, the config they compose, and the option chosen in each config group"""
MULTIRUN = "multirun.yaml"
BEFORE = ".multirun.yaml"
"""a copy of multirun.yaml, kept while a resumed sweep lets Hydra rewrite it, in case that is killed half-way"""
STUDY, DATABASE = "study.json", "study.db"
"""files of a search: its storage and pruner, which callbacks of the jobs read, and the database of its trials"""
PRUNED = "pruned"
"""attribute of a trial whose job was stopped early"""
TABLE, MEANS, MARKDOWN, PAGE = "summary.csv", "summary_means.csv", "summary.md", "report.html"
"""files of a sweep: its jobs, their means over repetitions, both as Markdown, and the page of scalian-report"""
PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")
"""name of the temporary file while files.replacing writes a file"""


class State(Enum):
    """How far the run in a folder has come; a process killed at any moment leaves one of these states."""

    NONE = "no run"
    """no config.yaml: the folder is new, or the process was killed before the run began"""
    CLAIMED = "claimed"
    """no checkpoint yet: resuming starts from the beginning"""
    STARTED = "started"
    """start.ckpt and perhaps best.ckpt: resuming starts from before the first step"""
    SAVED = "saved"
    """last.ckpt: resuming continues from there"""
    FINISHED = "finished"
    """metrics.json holds its results"""


def state(folder: Path) -> State:
    """Return the state of the run in a folder."""
    if not (folder / CONFIG).is_file():
        return State.NONE
    if status(folder) == "finished":
        return State.FINISHED
    if file := checkpoint(folder, "last", "start"):
        return {"last": State.SAVED, "start": State.STARTED}[file.stem]
    return State.CLAIMED


def can_resume(folder: Path) -> bool:
    """Return whether the run in a folder can be resumed; not if best.ckpt is all that is left of its checkpoints."""
    resumable = checkpoint(folder, "last", "start") or not checkpoint(folder, "best")
    return state(folder) is not State.NONE and bool(resumable)


def status(folder: Path) -> object:
    """Return how the run ended according to metrics.json; None if the file is missing or damaged."""
    try:
        return read_json(folder / METRICS).get("status")
    except Refusal:
        return None


def checkpoint(folder: Path, *names: str) -> Path | None:
    """Return the first existing checkpoint of a run folder among these names, such as "best", "last"."""
    return next((file for name in names if (file := folder / CHECKPOINTS / f"{name}.ckpt").exists()), None)


def checkpoint_file(path: Path) -> Path:
    """Return the file of a model: the path itself, a run folder's best or last checkpoint, or an export's weights.

    Raises:
        Refusal: if there is none.
    """
    if path.is_file():
        return path
    for name in (BEST, LAST, WEIGHTS):
        if (file := path / name).is_file():
            return file
    raise Refusal(f"{path} is neither a checkpoint nor a run folder with {BEST} or {LAST}, nor an export.")


def results(folder: Path) -> list[str]:
    """Return the files in a folder that look like a run's results, relative to it, whether or not it has a config."""
    patterns = (METRICS, "checkpoints/*.ckpt", "csv/metrics.csv", "figures/*.png")
    return [str(file.relative_to(folder)) for pattern in patterns for file in sorted(folder.glob(pattern))]


def figures_of_epoch(folder: Path, epoch: int) -> Path:
    """Return the folder in a run folder for the figures drawn after an epoch, counted from 1."""
    return folder / FIGURES / f"epoch_{epoch:04d}"


def epochs_drawn(folder: Path) -> dict[int, Path]:
    """Map each epoch after which a run has kept figures to their folder, in ascending order."""
    places = {int(place.name[6:]): place for place in folder.glob(f"{FIGURES}/epoch_*") if place.name[6:].isdecimal()}
    return dict(sorted(places.items()))


def runs_in(folder: Path) -> list[Path]:
    """Return the run folders directly inside a folder, such as a sweep's; hidden ones like .hydra don't count."""
    return sorted(file.parent for file in folder.glob(f"[!.]*/{CONFIG}"))


def multirun(folder: Path) -> Path:
    """Return the file that records how the sweep in a folder was started."""
    before = folder / BEFORE
    return before if before.is_file() else folder / MULTIRUN


FROM_HERE = {"dirpath", "save_dir", "default_root_dir"}
"""Lightning's arguments whose relative paths start from the current folder instead of the run folder"""


def leads_out(key: str, text: str, folder: Path) -> bool:
    """Return whether a config's string at this key is a URL, or a path outside the run folder."""
    start = Path() if key.rpartition(".")[2] in FROM_HERE else folder
    if re.match(r"[A-Za-z][\w+.-]*:\S", text):
        return True
    path = Path(os.path.expandvars(Path(text).expanduser())) if text.startswith("~") else Path(os.path.expandvars(text))
    leaves = path.is_absolute() or ".." in path.parts or start != folder
    return leaves and not (start / path).resolve().is_relative_to(folder.resolve())


def check_links(folder: Path) -> None:
    """Refuse symbolic links that lead out of a folder, before files of an untrusted run are written through them.

    W&B puts links to its own logs into the folder of each start, into which nothing is ever written again.

    Raises:
        Refusal: if there is such a link.
    """
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in folders + files):
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(folder.resolve()):  # not a loop
                raise Refusal(
                    f"{path} is a link out of the folder, to {path.readlink()}, which would be overwritten; replace "
                    "it by a copy, or remove it."
                )
        if Path(place).name == WANDB:
            folders[:] = [name for name in folders if "run-" not in name]


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a path in a folder that leads out of it by a symbolic link, before files are written there.

    Raises:
        Refusal: if it does.
    """
    if not Path(os.path.realpath(path)).is_relative_to(folder.resolve()):
        raise Refusal(
            f"{path} is a link out of {folder}, to {os.path.realpath(path)}, where results would be written; remove it "
            "or replace it by a folder."
        )


def remove_parts(folder: Path) -> None:
    """Remove temporary files that a killed process left in a run folder."""
    for place in (folder, folder / CHECKPOINTS, (folder / CURVES).parent):
        for file in place.glob(".*.part"):
            if PART.fullmatch(file.name):
                file.unlink(missing_ok=True)


def is_run(folder: Path) -> bool:
    """Return whether a folder belongs to a run or to a job of a sweep, even one that failed before it began."""
    return (folder / CONFIG).is_file() or (folder / OVERRIDES).is_file()


def begun_in_python(folder: Path) -> bool:
    """Return whether a run was begun by `scalian_exp.train`, without a command line, so that Hydra recorded nothing."""
    return (folder / CONFIG).is_file() and not (folder / OVERRIDES).parent.exists()


def jobs_of(folder: Path) -> list[Path]:
    """Return the folder itself if it is a run folder, else the run folders in it, ordered by job number."""
    if is_run(folder):
        return [folder]
    return sorted(filter(is_run, folder.glob("[!.]*")), key=lambda run: (job_number(run), run))


def job_number(folder: Path) -> int:
    """Return the number at the beginning of a job folder's name, or 0 if there is none."""
    number = folder.name.partition("_")[0]
    return int(number) if number.isdecimal() else 0


def make_new(folder: Path) -> Path:
    """Create and return a folder that doesn't exist yet: this one, or the first free of NAME_2, NAME_3 and so on."""
    for number in count(1):
        path = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
    raise AssertionError


@contextmanager
def results_in(folder: Path) -> Iterator[Path]:
    """Create a new folder for results, of this name or a numbered one, and remove it if the block fails."""
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

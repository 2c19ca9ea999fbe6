"""Folders of a sweep's jobs: their names, and what happens where one can't be made. No torch."""

import re
import shutil
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from scalian_exp.files import failures_refused
from scalian_exp.folders import CHOICES, COMPOSED, OVERRIDES

LONGEST_NAME, MOST_BYTES = 120, 240
"""characters of a job's folder beside its number, and bytes; file systems take 255 bytes"""
STAND_IN = "without_a_folder"
"""ends the name of the folder in which a job whose own folder can't be made says so"""
SETTINGS = (COMPOSED, CHOICES, OVERRIDES)
"""what Hydra writes into a job's folder"""


def name_of(number: int, overrides: str) -> str:
    """The name of a job's folder: the number keeps it unique, the overrides tell what it is.

    Nothing in it needs quotes: neither in a shell nor in `run=…` and `resume=…`, where = and , mean something to Hydra.
    """
    name = re.sub(r"[^\w.,+-]+", "_", overrides.replace("=", "-")).replace(",", "_")
    name = name[:LONGEST_NAME].encode()[:MOST_BYTES].decode(errors="ignore").rstrip("._-")
    return f"{number}_{name}" if name else str(number)


def job_folder(number: int, overrides: str, sweep: str) -> str:
    """The folder of a job inside its sweep; it is made here, since a failure of Hydra to make it would end the sweep.

    Where that fails, it is a stand-in, in which `check_job_folder` refuses to work.
    """
    own = name_of(number, overrides)
    try:
        make(Path(sweep) / own)
    except OSError:
        return f"{number}_{STAND_IN}"
    return own


def make(folder: Path) -> None:
    """Make a job's folder, in which Hydra's settings can be written.

    Raises:
        OSError: if that fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in (folder / name for name in SETTINGS):
        file.parent.mkdir(exist_ok=True)
        file.open("a").close()


def stand_in() -> Path:
    """The stand-in for the folder of the job that Hydra's config is of."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir) / f"{hydra.job.num}_{STAND_IN}"


def check_job_folder() -> None:
    """Called by the job that Hydra's config is of.

    Raises:
        Refusal: if it is one of a sweep, whose own folder could not be made.
    """
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN and Path(hydra.runtime.output_dir).name == stand_in().name:
        with failures_refused():
            make(stand_in().with_name(name_of(hydra.job.num, hydra.job.override_dirname)))


def remove_stand_in() -> None:
    """Remove that of an earlier start, if what was in the way has gone: the job has its own folder."""
    if Path(HydraConfig.get().runtime.output_dir).name != stand_in().name and stand_in().is_dir():
        shutil.rmtree(stand_in())


OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)

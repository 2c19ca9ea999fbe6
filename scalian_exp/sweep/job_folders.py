"""The folders of a sweep's jobs: their names, and stand-ins for folders that can't be created. No torch."""

import re
import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import OmegaConf

from scalian_exp.files import failures_refused
from scalian_exp.folders import CHOICES, COMPOSED, OVERRIDES
from scalian_exp.vocabulary.grammar import quoted, read

LONGEST_NAME, MOST_BYTES = 120, 240
"""limits on a job folder's name after its number, in characters and bytes; file systems allow 255 bytes"""
STAND_IN = "without_a_folder"
"""end of the name of the folder that holds the error of a job whose own folder can't be created"""
SETTINGS = (COMPOSED, CHOICES, OVERRIDES)
"""files that Hydra writes into a job's folder"""

SHARED = "hydra.job.config.override_dirname.exclude_keys"
"""Hydra's list of keys that are left out of the names of jobs: those that have the same value in all of them"""


def leave_out_shared(overrides: Iterable[str], hydras: Iterable[str]) -> list[str]:
    """Return the override of Hydra that leaves shared values out of the names of jobs; none if it is given already.

    Args:
        overrides: the sweep's overrides of the experiment; what an experiment or a search varies is not among them.
        hydras: its overrides of Hydra.
    """
    if any(override.lstrip("+").startswith(f"{SHARED}=") for override in hydras):
        return []
    parsed = filter(None, map(read, overrides))
    shared = dict.fromkeys(override.key_or_group for override in parsed if not varies(override))
    return [f"{SHARED}=[{','.join(map(quoted, shared))}]"] if shared else []


def varies(override: Override) -> bool:
    """Return whether a sweep's override has several values; `choice(1)` has one."""
    if not override.is_discrete_sweep():
        return bool(override.is_sweep_override())
    return len([*islice(override.sweep_string_iterator(), 2)]) > 1


def name_of(number: int, overrides: str) -> str:
    """Return the name of a job's folder: its number, which makes it unique, and what was swept.

    No character in it needs quotes, neither in a shell nor in `run=…` and `resume=…`, where = and , are special to
    Hydra.
    """
    name = re.sub(r"[^\w.,+-]+", "_", overrides.replace("=", "-")).replace(",", "_")
    name = name[:LONGEST_NAME].encode()[:MOST_BYTES].decode(errors="ignore").rstrip("._-")
    return f"{number}_{name}" if name else str(number)


def job_folder(number: int, overrides: str, sweep: str) -> str:
    """Create a job's folder inside its sweep and return its name.

    If Hydra failed to create it, the sweep would end. If it can't be created here, the name of a stand-in is returned,
    in which `check_job_folder` refuses to work.
    """
    own = name_of(number, overrides)
    try:
        make(Path(sweep) / own)
    except OSError:
        return f"{number}_{STAND_IN}"
    return own


def make(folder: Path) -> None:
    """Create a job's folder and check that Hydra's settings can be written there.

    Raises:
        OSError: if they can't.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in (folder / name for name in SETTINGS):
        file.parent.mkdir(exist_ok=True)
        file.open("a").close()


def stand_in() -> Path:
    """Return the stand-in for the folder of Hydra's current job."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir) / f"{hydra.job.num}_{STAND_IN}"


def check_job_folder() -> None:
    """Refuse to run Hydra's current job in a stand-in.

    Raises:
        Refusal: saying why the job's own folder couldn't be created.
    """
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN and Path(hydra.runtime.output_dir).name == stand_in().name:
        with failures_refused():
            make(stand_in().with_name(name_of(hydra.job.num, hydra.job.override_dirname)))


def remove_stand_in() -> None:
    """Remove the stand-in of an earlier start if the job now has its own folder."""
    if Path(HydraConfig.get().runtime.output_dir).name != stand_in().name and stand_in().is_dir():
        shutil.rmtree(stand_in())


OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)

"""Set runs aside whose experiment has changed since they were trained."""

from collections.abc import Mapping
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from scalian_exp.commandline.shell import shown
from scalian_exp.course.experiments import Experiment
from scalian_exp.course.training import RUNS
from scalian_exp.folders import OVERRIDES, State, make_new, state
from scalian_exp.run import locks
from scalian_exp.sweep.changes import changes_since, listed
from scalian_exp.vocabulary.config_folders import CONFIGS

EARLIER = "earlier"
"""folder beside the course's runs, where those of other configs are kept"""
PLACES = ("trainer.accelerator", "trainer.devices", "dataset.num_workers", "callbacks.sample_quality.judge")
"""keys that say where a run computes and where its folder is: another value makes no other network"""


def set_aside(experiments: Mapping[str, Experiment], outputs: Path) -> None:
    """Move runs that were begun with another config than their experiment has now out of the way, and say so.

    So are runs that need one of these, such as those that it has judged: other judges' distances don't compare.

    Args:
        experiments: name → experiment of the course.
        outputs: folder of the course.

    Raises:
        InUse: if another process works in a run that has to be moved.
    """
    moved: set[str] = set()
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for run in sorted(experiments, key=lambda name: bool(experiments[name].needs)):  # others need no run
            folder = outputs / RUNS / run
            if state(folder) is State.NONE or not (folder / OVERRIDES).is_file():
                continue
            reasons = changes(folder) or [f"{needed} is new" for needed in experiments[run].needs if needed in moved]
            if not reasons:
                continue
            locks.check_free(folder)
            place = make_new(outputs / EARLIER / run)
            place.rmdir()  # a folder can't be renamed to one that exists on Windows
            folder.rename(place)
            moved.add(run)
            print(
                f"{run} has changed ({listed(reasons)}): it is trained again, and {shown(place)} keeps the earlier run."
            )


def changes(folder: Path) -> list[str]:
    """Return in what a run's config differs from what its experiment composes now, apart from places."""
    try:
        return [change for change in changes_since(folder, "train") if not change.startswith(PLACES)]
    except (HydraException, OmegaConfBaseException):
        return ["its overrides don't exist any more"]

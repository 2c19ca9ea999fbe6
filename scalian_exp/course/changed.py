"""Set runs aside whose experiment has changed since they were trained."""

from collections.abc import Iterable
from pathlib import Path

import hydra

from scalian_exp.commandline.shell import shown
from scalian_exp.course.training import RUNS
from scalian_exp.folders import OVERRIDES, State, make_new, state
from scalian_exp.run import locks
from scalian_exp.sweep.changes import changes_since, listed
from scalian_exp.vocabulary.options import CONFIGS

EARLIER = "earlier"
"""folder beside the course's runs, where those of other configs are kept"""
PLACES = ("trainer.accelerator", "trainer.devices", "dataset.num_workers", "callbacks.sample_quality.judge")
"""keys that say where a run computes and where its folder is: another value makes no other network"""


def set_aside(runs: Iterable[str], outputs: Path) -> None:
    """Move runs that were begun with another config than their experiment has now out of the way, and say so.

    Args:
        runs: names of experiments of the course.
        outputs: folder of the course.

    Raises:
        InUse: if another process works in a run that has to be moved.
    """
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for run in runs:
            folder = outputs / RUNS / run
            if state(folder) is State.NONE or not (folder / OVERRIDES).is_file():
                continue
            changes = [change for change in changes_since(folder, "train") if not change.startswith(PLACES)]
            if not changes:
                continue
            locks.check_free(folder)
            place = make_new(outputs / EARLIER / run)
            folder.replace(place)
            print(
                f"{run} has changed ({listed(changes)}): it is trained again, and {shown(place)} keeps the earlier run."
            )

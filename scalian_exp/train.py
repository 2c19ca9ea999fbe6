"""Train a network: `scalian-train model=vae dataset=mnist loss.beta=4`; `scalian-train --help` lists the options.

compose (Hydra) → check → build → fit → test → record. A job is a function of its resolved config and its run folder:
called again on the same folder, it continues where it stopped.
"""

import scalian_exp.commandline.starting  # noqa: F401 (first: Ctrl-C ends quietly during the other imports)

# isort: split
import logging
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from scalian_exp import folders
from scalian_exp.api import train
from scalian_exp.commandline import app, completion, schema
from scalian_exp.commandline.experiment import checked
from scalian_exp.commandline.runs import with_newest
from scalian_exp.refusal import Refusal
from scalian_exp.run import locks, processes
from scalian_exp.run.resume import resumed
from scalian_exp.sweep.job_folders import check_job_folder
from scalian_exp.sweep.jobs import EndingSweep, moved_data
from scalian_exp.sweep.resume import KEY, resumed_sweep
from scalian_exp.vocabulary.checks import find_data_at
from scalian_exp.vocabulary.natural_schedule import with_natural_schedule
from scalian_exp.vocabulary.packages import check_packages

log = logging.getLogger(__name__)


def job(config: DictConfig) -> float | None:
    """Run one Hydra job and return its best monitored validation value, which a search optimizes."""
    from scalian_exp.stored import metrics_of

    check_job_folder()
    hydra = HydraConfig.get()
    plain, folder = checked(with_natural_schedule(config, hydra)), Path(hydra.runtime.output_dir)
    check_packages(plain, starts=folders.checkpoint(folder, "last", "start") is None)
    if folders.state(folder) is folders.State.FINISHED:  # in a resumed sweep
        log.info("skipped: %s has already finished", folder)
        return metrics_of(folder).get("best")
    if (root := moved_data()) is not None:
        find_data_at(plain["dataset"], root)
    return processes.launch(plain, folder).get("best")


def resume_run() -> None:
    """Resume the run that `resume=RUN` names."""
    config, folder = resumed(sys.argv[1:])
    locks.check_free(locks.real(folder).parent)  # it may be one of a sweep's jobs
    processes.launch(config, folder)


def resume_sweep() -> None:
    """Resume the sweep that `sweep.resume=SWEEP` names."""
    sys.argv[1:] = resumed_sweep(sys.argv[1:])
    run_jobs()


def run_jobs() -> None:
    """Hand the command line to Hydra, which runs one job or a sweep."""
    with EndingSweep():
        app.run(job, "train")


def resumes(arguments: list[str]) -> bool:
    """Return whether the command line resumes a run.

    Raises:
        SystemExit: if it also asks for something that a resumed run can't do.
    """
    resuming = any(argument.startswith("resume=") and argument != "resume=null" for argument in arguments)
    flags = [argument for argument in arguments if argument.startswith("-")]
    if resuming and not {"-m", "--multirun"}.isdisjoint(flags):
        sys.exit("resume=… resumes one run: leave -m out; sweep.resume=FOLDER resumes a sweep.")
    if resuming and flags and {"-h", "--help"}.isdisjoint(flags):
        sys.exit(f"resume=… resumes a run as it is: leave {flags[0]} out.")
    return resuming and not flags


def without_plus(argument: str) -> str:
    """Drop the + before `resume=…`, with which Hydra would start a new run and add a value that nothing reads."""
    plain = argument.lstrip("+")
    return plain if plain.startswith(("resume=", f"{KEY}=")) else argument


def main() -> None:
    """Run the command `scalian-train`."""
    if completion.answer("train"):
        return
    try:
        given = with_newest([app.as_list(without_plus(argument)) for argument in sys.argv[1:]])
    except Refusal as refusal:
        sys.exit(str(refusal))
    overrides = sys.argv[1:] = given or ["--help"]
    if not app.any_starts_with(overrides, "resume=", f"{KEY}=") or app.any_starts_with(
        overrides, "trust=", "hydra.searchpath="
    ):
        app.find_own_modules()
    with locks.all_released():
        if schema.is_requested(sys.argv[1:]):
            app.with_sentences(lambda: schema.write(sys.argv[1:]))
        elif resumes(sys.argv[1:]):
            app.with_sentences(resume_run)
        elif any(override.startswith(f"{KEY}=") for override in sys.argv[1:]):
            app.with_sentences(resume_sweep)
        else:
            run_jobs()


class TrainingModule(ModuleType):
    """A callable module: `scalian_exp.train(config, folder)` still trains after `import scalian_exp.train`."""

    def __call__(self, config: dict[str, Any], folder: str | Path) -> dict[str, Any]:
        """Train and test the experiment that a config describes; see `scalian_exp.api.train`."""
        return train(config, folder)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name, as functions are: `multiprocessing` and joblib send `train` to other processes."""
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = TrainingModule


if __name__ == "__main__":
    main()

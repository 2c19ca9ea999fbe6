"""Hydra callbacks around jobs, which protect run folders, contain failures, and end a sweep with a summary."""

import logging
import os
import re
import sys
import traceback
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from scalian_exp import folders
from scalian_exp.commandline.app import sentence, sweep_begun, with_sentences
from scalian_exp.commandline.overrides import check_sweeps
from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.commandline.swept_values import check_swept_values
from scalian_exp.commandline.unknown_keys import unknown_key
from scalian_exp.files import write_text
from scalian_exp.folders import ERROR
from scalian_exp.refusal import Refusal, refusal_in
from scalian_exp.run import locks
from scalian_exp.sweep import job_folders
from scalian_exp.sweep.resume import KEY, check_jobs, command_to_resume_sweep
from scalian_exp.vocabulary.grammar import quoted

log = logging.getLogger(__name__)


class RefusalReporter(Callback):
    """Report mistakes of the user in one sentence.

    Hydra turns exceptions of callbacks into warnings, so they are reported by SystemExit.
    """

    resume = False
    """whether the sweep began earlier, so that its overrides have been checked"""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Exit with the sentence if the job failed by a mistake of the user."""
        error = job_return._return_value
        if job_return.status == JobStatus.FAILED and isinstance(error, HydraException | OmegaConfBaseException):
            sys.stderr.write(sentence(error, unknown_key) + "\n")
            raise SystemExit(1)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse sweeps without jobs, and sweeps over values that no job can use."""
        HydraConfig.instance().set_config(config)  # Hydra sets it a moment later
        with_sentences(lambda: check_sweeps(config.hydra.overrides.task))
        if not self.resume:
            with_sentences(lambda: check_swept_values(config))


class JobLifecycle(RefusalReporter):
    """Protect run folders from being overwritten, let a sweep go on after failed jobs, and end it with a summary.

    Args:
        resume: whether the sweep's folder already holds jobs, which are resumed.
        root: where the jobs' data is now, if it has been moved; read by `moved_data`.
    """

    def __init__(self, resume: bool = False, root: str | None = None):
        self.resume, self.root = resume, root

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Take the run folder, or share it with the first process."""
        HydraConfig.instance().set_config(config)  # the folder's name refers to it; Hydra sets it a moment later
        timed = named_by_clock(config.hydra.run)
        if contains_dotdot(config.hydra.run.dir):
            change(config, "run.dir", str(locks.real(Path(config.hydra.run.dir))))
        rank = os.environ.get("RANK")
        machines = OmegaConf.select(config, "trainer.num_nodes", default=1) not in (1, None)
        if (rank or machines) and not any("hydra.run.dir=" in given for given in config.hydra.overrides.hydra):
            if rank in (None, "0"):
                sys.stderr.write("Several processes or machines must share a folder: add hydra.run.dir=FOLDER.\n")
            raise SystemExit(1)
        if rank in (None, "0"):
            with_sentences(lambda: self.take_run_folder(config, machines, timed))
        else:
            change(config, "output_subdir", None)  # only the first process writes Hydra's files

    def take_run_folder(self, config: DictConfig, machines: bool, timed: bool) -> None:
        """Take the run folder for this process.

        Args:
            config: Hydra's config of the job.
            machines: whether several machines share the folder; then the first of all processes takes the lock.
            timed: whether the folder's name comes from the clock.

        Raises:
            Refusal: if the folder holds a run, or another process works there.
        """
        folder, theirs = Path(config.hydra.run.dir), written_by_hydra(config)
        if timed and not (machines or "RANK" in os.environ):
            change(config, "run.dir", str(locks.hold_new(folder, *theirs)))
            return
        for place in (folder, locks.real(folder).parent):  # it may lie in a sweep
            locks.check_free(place)
        if folders.state(folder) is not folders.State.NONE:
            advice = f", or resume it: {command_to_resume(folder)}" if folders.can_resume(folder) else "."
            raise Refusal(f"{folder} holds a run already; choose another folder{advice}")
        if others := folders.results(folder):
            raise Refusal(
                f"{folder} holds no run, but {others[0]}, which a run would overwrite; choose another folder."
            )
        locks.hold(folder, *theirs, lock=not machines)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Write the error of a failed job into its folder and let the sweep go on."""
        if job_return.status != JobStatus.FAILED:
            return
        error = job_return._return_value  # the property would raise it
        folder = Path(config.hydra.runtime.output_dir)
        if config.hydra.mode == RunMode.MULTIRUN:
            text = refusal_in(str(error)) if isinstance(error, Refusal) else "".join(traceback.format_exception(error))
            log.error("Job %s failed: %s", folder.name, text.strip())
            job_return.status, job_return.return_value = JobStatus.COMPLETED, None  # so that the sweep goes on
            if isinstance(error, locks.InUse):
                return  # the folder belongs to another process
            with suppress(OSError):  # the disk may be full; without a metrics.json the job counts as unfinished
                write_text(folder / ERROR, text)
        else:
            super().on_job_end(config, job_return)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse sweeps without jobs, and take the sweep's folder."""
        super().on_multirun_start(config)
        with_sentences(lambda: self.take_sweep_folder(config))

    def take_sweep_folder(self, config: DictConfig) -> None:
        """Take the sweep's folder for this process.

        Raises:
            Refusal: if the folder holds a sweep that isn't being resumed or whose configs have changed, or another
                process works there.
        """
        if not re.search(r"\$\{.*job", subdir := unresolved(config.hydra.sweep)["subdir"]):
            problem = f"hydra.sweep.subdir={subdir} is one folder for all jobs"
            raise Refusal(f"{problem}; leave it out, or let it contain ${{hydra:job.num}}.")
        given, timed = Path(config.hydra.sweep.dir), named_by_clock(config.hydra.sweep)
        folder = locks.real(given) if contains_dotdot(str(given)) else given
        folder = locks.hold_new(folder) if timed else folder
        hydras = [*config.hydra.overrides.hydra]
        if folder != given:
            change(config, "sweep.dir", str(folder))
            hydras.append(f"hydra.sweep.dir={quoted(str(folder))}")
        if not self.resume:  # the names of a resumed sweep's folders are known
            hydras += job_folders.leave_out_shared(config.hydra.overrides.task, hydras)
        change(config, "overrides.hydra", hydras)  # with which the jobs are composed
        if timed:
            return
        for place in (folder, *(folder.glob("[!.]*/") if self.resume else ())):
            locks.check_free(place)
        if self.resume:
            plain: Any = OmegaConf.to_container(config)
            check_jobs(folder, config.hydra.job.config_name, plain.get("trust"))
        elif folders.runs_in(folder):
            advice = f"choose another folder, or resume it: {command_to_resume(folder, KEY)}"
            raise Refusal(f"{folder} holds a sweep already; {advice}")
        locks.hold(folder)
        if self.resume:
            write_text(folder / folders.BEFORE, folders.multirun(folder).read_text(encoding="utf-8"))

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Remove the error and the stand-in of an earlier start."""
        (Path(config.hydra.runtime.output_dir) / ERROR).unlink(missing_ok=True)
        if config.hydra.mode == RunMode.MULTIRUN:
            (Path(config.hydra.sweep.dir) / folders.BEFORE).unlink(missing_ok=True)
            job_folders.remove_stand_in()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print and write the summary."""
        HydraConfig.instance().set_config(config)
        with_sentences(lambda: self.summarise(Path(config.hydra.sweep.dir)))

    def summarise(self, folder: Path) -> None:
        """Print and write the summary of a sweep, and exit with code 1 if jobs have failed."""
        from scalian_exp.results.summary import summarise

        if summarise(folder, command_to_resume_sweep(folder)):
            raise SystemExit(1)


class EndingSweep(AbstractContextManager[None]):
    """Context that prints a sweep's summary and the command that resumes it if it is interrupted or fails inside."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the sweep; the error goes on, whatever it is: launchers raise any kind if a job's process was killed."""
        interrupted = isinstance(error, SystemExit) and error.code == 130
        if interrupted or isinstance(error, Exception):
            end_sweep()


def end_sweep() -> None:
    """Print the summary of an interrupted sweep and the command that resumes it, if a sweep has begun."""
    if (folder := sweep_begun()) and HydraConfig.get().job.config_name == "train":
        from scalian_exp.results.summary import summarise

        print("The sweep ends here; to resume it, including jobs that are not in this table:")
        print(command := command_to_resume_sweep(folder))
        summarise(folder, command)


def moved_data() -> str | None:
    """Return where the data of Hydra's current job is, if it has been moved since the sweep was started."""
    root: str | None = OmegaConf.select(HydraConfig.get(), "callbacks.jobs.root", default=None)  # type: ignore[arg-type]
    return root


def written_by_hydra(config: DictConfig) -> tuple[str, ...]:
    """Return the names of the files and folders that Hydra writes into a run folder before the run begins."""
    settings = config.hydra.output_subdir
    return (*([] if settings is None else [settings]), f"{config.hydra.job.name}.log")


def contains_dotdot(folder: str) -> bool:
    """Return whether a path contains `..`, as a/../b: creating it would create `a` too."""
    return ".." in Path(folder).parts


def named_by_clock(node: DictConfig) -> bool:
    """Return whether a folder's name comes from the clock, as by default, so that each start has a new one."""
    return "${now:" in unresolved(node)["dir"]


def unresolved(node: DictConfig) -> dict[str, str]:
    """Return the values of a node as strings, with interpolations unresolved."""
    plain: Any = OmegaConf.to_container(node, resolve=False)
    return {name: str(text) for name, text in plain.items()}


def change(config: DictConfig, key: str, value: Any) -> None:
    """Set a value in Hydra's own config, which is read-only."""
    with read_write(config.hydra), open_dict(config.hydra):
        OmegaConf.update(config.hydra, key, value)

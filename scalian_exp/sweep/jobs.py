"""What happens around jobs: nothing is overwritten, a failure doesn't end a sweep, a sweep ends with a summary."""

import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from scalian_exp.commandline.app import not_there, refusal_in, sentence, sweep_begun, with_sentences
from scalian_exp.commandline.overrides import check_sweeps
from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.files import write_text
from scalian_exp.folders import ERROR
from scalian_exp.refusal import Refusal
from scalian_exp.run import locks
from scalian_exp.sweep import job_folders
from scalian_exp.sweep.resume import KEY, check_jobs, command_to_go_on
from scalian_exp.vocabulary.grammar import quoted

log = logging.getLogger(__name__)


class RefusalReporter(Callback):
    """Tells a user's mistake in one sentence. Hydra turns exceptions of callbacks into warnings, hence SystemExit."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        error = job_return._return_value
        if job_return.status == JobStatus.FAILED and isinstance(error, HydraException | OmegaConfBaseException):
            sys.stderr.write(sentence(error, not_there) + "\n")
            raise SystemExit(1)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)  # Hydra sets it a moment later
        with_sentences(lambda: check_sweeps(config.hydra.overrides.task))


class JobLifecycle(RefusalReporter):
    """No run is overwritten, none is left half-made, a failure doesn't end a sweep, and a sweep ends with a summary.

    Args:
        resume: the sweep's folder holds jobs already, which are to be gone on with.
        root: where the jobs' data lies, if no longer where their configs say; read by `moved_data`.
    """

    def __init__(self, resume: bool = False, root: str | None = None):
        self.resume, self.root = resume, root

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)  # the folder's name refers to it; Hydra sets it a moment later
        timed = tells_the_time(config.hydra.run)
        if leads_up(config.hydra.run.dir):
            change(config, "run.dir", str(locks.real(Path(config.hydra.run.dir))))
        rank = os.environ.get("RANK")
        machines = OmegaConf.select(config, "trainer.num_nodes", default=1) not in (1, None)
        if (rank or machines) and not any("hydra.run.dir=" in said for said in config.hydra.overrides.hydra):
            if rank in (None, "0"):
                sys.stderr.write("Several processes or machines must share a folder: add hydra.run.dir=<folder>.\n")
            raise SystemExit(1)
        if rank in (None, "0"):
            with_sentences(lambda: self.take_run_folder(config, machines, timed))
        else:
            change(config, "output_subdir", None)  # the first process writes what Hydra has to say

    def take_run_folder(self, config: DictConfig, machines: bool, timed: bool) -> None:
        """
        Args:
            machines: the same start comes from several machines; of their processes the first one takes the lock.
            timed: the folder's name comes from the clock.

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
            advice = f", or go on with it: {command_to_resume(folder)}" if folders.goes_on(folder) else "."
            raise Refusal(f"{folder} holds a run already; choose another folder{advice}")
        if others := folders.results(folder):
            raise Refusal(f"{folder} holds no run, but {others[0]}, which one would replace; choose another folder.")
        locks.hold(folder, *theirs, lock=not machines)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        if job_return.status != JobStatus.FAILED:
            return
        error = job_return._return_value  # the property would raise it
        folder = Path(config.hydra.runtime.output_dir)
        if config.hydra.mode == RunMode.MULTIRUN:
            text = refusal_in(str(error)) if isinstance(error, Refusal) else "".join(traceback.format_exception(error))
            log.error("Job %s failed: %s", folder.name, text.strip())
            job_return.status, job_return.return_value = JobStatus.COMPLETED, None  # the others go on
            if isinstance(error, locks.InUse):
                return  # the folder is another process's
            with suppress(OSError):  # the disk may be full; without a metrics.json the job counts as unfinished
                write_text(folder / ERROR, text)
        else:
            super().on_job_end(config, job_return)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        super().on_multirun_start(config)
        with_sentences(lambda: self.take_sweep_folder(config))

    def take_sweep_folder(self, config: DictConfig) -> None:
        """
        Raises:
            Refusal: if the folder holds a sweep which is not to be resumed, or whose configs have changed, or another
                process works there.
        """
        if not re.search(r"\$\{.*job", subdir := unresolved(config.hydra.sweep)["subdir"]):
            told = f"hydra.sweep.subdir={subdir} is one folder for all jobs"
            raise Refusal(f"{told}; leave it out, or let it hold ${{hydra:job.num}}.")
        given, timed = Path(config.hydra.sweep.dir), tells_the_time(config.hydra.sweep)
        folder = locks.real(given) if leads_up(str(given)) else given
        folder = locks.hold_new(folder) if timed else folder
        if folder != given:
            change(config, "sweep.dir", str(folder))
            said = [*config.hydra.overrides.hydra, f"hydra.sweep.dir={quoted(str(folder))}"]  # which make the jobs
            change(config, "overrides.hydra", said)
        if timed:
            return
        for place in (folder, *(folder.glob("[!.]*/") if self.resume else ())):
            locks.check_free(place)
        if self.resume:
            plain: Any = OmegaConf.to_container(config)
            check_jobs(folder, config.hydra.job.config_name, plain.get("trust"))
        elif folders.runs_in(folder):
            advice = f"choose another folder, or go on with it: {command_to_resume(folder, KEY)}"
            raise Refusal(f"{folder} holds a sweep already; {advice}")
        locks.hold(folder)
        if self.resume:
            write_text(folder / folders.BEFORE, folders.multirun(folder).read_text(encoding="utf-8"))

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        (Path(config.hydra.runtime.output_dir) / ERROR).unlink(missing_ok=True)  # of an earlier start
        if config.hydra.mode == RunMode.MULTIRUN:
            (Path(config.hydra.sweep.dir) / folders.BEFORE).unlink(missing_ok=True)
            job_folders.remove_stand_in()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)
        with_sentences(lambda: self.summarise(Path(config.hydra.sweep.dir)))

    def summarise(self, folder: Path) -> None:
        from scalian_exp.results.summary import summarise

        if summarise(folder, command_to_go_on(folder)):
            raise SystemExit(1)


@contextmanager
def ending_sweep() -> Iterator[None]:
    """Print what a sweep has come to, and the command that goes on with it, where it breaks off."""
    try:
        yield
    except SystemExit as stop:
        if stop.code == 130:
            end_sweep()
        raise
    except Exception:
        end_sweep()  # a launcher raises what it likes where a job's process was killed; that is told after the summary
        raise


def end_sweep() -> None:
    """What a sweep that breaks off has to say, if this is one that has begun."""
    if (folder := sweep_begun()) and HydraConfig.get().job.config_name == "train":
        from scalian_exp.results.summary import summarise

        print("The sweep ends here; to go on, also with jobs that are not in this table:")
        print(command := command_to_go_on(folder))
        summarise(folder, command)


def moved_data() -> str | None:
    """Where the data of the job lies that Hydra's config is of, if it has been moved since its sweep was started."""
    root: str | None = OmegaConf.select(HydraConfig.get(), "callbacks.jobs.root", default=None)  # type: ignore[arg-type]
    return root


def written_by_hydra(config: DictConfig) -> tuple[str, ...]:
    """Names of what Hydra writes into a run folder before the run begins."""
    settings = config.hydra.output_subdir
    return (*([] if settings is None else [settings]), f"{config.hydra.job.name}.log")


def leads_up(folder: str) -> bool:
    """Does a path go up again, as a/../b? Making that folder would make `a` too."""
    return ".." in Path(folder).parts


def tells_the_time(node: DictConfig) -> bool:
    """Does the name of a folder come from the clock, as by default? Then each start has a new one."""
    return "${now:" in unresolved(node)["dir"]


def unresolved(node: DictConfig) -> dict[str, str]:
    """The texts of a node as they are written, before anything in them is interpolated."""
    plain: Any = OmegaConf.to_container(node, resolve=False)
    return {name: str(text) for name, text in plain.items()}


def change(config: DictConfig, key: str, value: Any) -> None:
    """Set a value of Hydra's own, which it makes read-only."""
    with read_write(config.hydra), open_dict(config.hydra):
        OmegaConf.update(config.hydra, key, value)

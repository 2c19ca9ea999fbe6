"""What happens around jobs: nothing is overwritten, a failure doesn't end a sweep, a sweep ends with a summary."""

import logging
import os
import re
import shutil
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from scalian_exp.app import refusal_in, with_sentences
from scalian_exp.files import write_text
from scalian_exp.refusal import Refusal
from scalian_exp.resume_sweep import KEY, check_jobs

log = logging.getLogger(__name__)
LONGEST_NAME = 120
"""characters of a job's folder; file systems take 255 bytes"""


def job_folder(number: int, overrides: str) -> str:
    """A job's folder inside its sweep: the number keeps it unique, the overrides tell what it is.

    Nothing in it needs quotes: neither in a shell nor in `run=…` and `resume=…`, where = and , mean something to Hydra.
    """
    name = re.sub(r"[^\w.,+-]+", "_", overrides.replace("=", "-")).replace(",", "_")[:LONGEST_NAME].rstrip("._-")
    return f"{number}_{name}" if name else str(number)


OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)


class Mistakes(Callback):
    """Tells a user's mistake in one sentence. Hydra turns exceptions of callbacks into warnings, hence SystemExit."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        if job_return.status == JobStatus.FAILED and isinstance(job_return._return_value, Refusal):
            sys.stderr.write(refusal_in(str(job_return._return_value)) + "\n")
            raise SystemExit(1)


class Jobs(Mistakes):
    """No run is overwritten, none is left half-made, a failure doesn't end a sweep, and a sweep ends with a summary.

    Args:
        resume: the sweep's folder holds jobs already, which are to be gone on with.
    """

    def __init__(self, resume: bool = False):
        self.resume = resume

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)  # the folder's name refers to it; Hydra sets it a moment later
        folder, rank = Path(config.hydra.run.dir), os.environ.get("RANK")
        shared = rank is not None or OmegaConf.select(config, "trainer.num_nodes", default=1) not in (1, None)
        if shared and not any("hydra.run.dir=" in said for said in config.hydra.overrides.hydra):
            if rank in (None, "0"):
                sys.stderr.write("Several processes or machines must share a folder: add hydra.run.dir=<folder>.\n")
            raise SystemExit(1)
        if (folder / "config.yaml").exists() and rank in (None, "0"):
            sys.stderr.write(
                f"{folder} holds a run already; go on with it by resume={folder}, or choose another folder.\n"
            )
            raise SystemExit(1)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        if job_return.status != JobStatus.FAILED:
            return
        error = job_return._return_value  # the property would raise it
        folder = Path(config.hydra.runtime.output_dir)
        if config.hydra.mode == RunMode.MULTIRUN:
            text = refusal_in(str(error)) if isinstance(error, Refusal) else "".join(traceback.format_exception(error))
            log.error("Job %s failed: %s", folder.name, text.strip())
            job_return.status, job_return.return_value = JobStatus.COMPLETED, None  # the others go on
            with suppress(OSError):  # the disk may be full; without a metrics.json the job counts as unfinished
                write_text(folder / "error.txt", text)
        else:
            remove_unused(folder, config.hydra.output_subdir, config.hydra.job.name)
            super().on_job_end(config, job_return)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)  # as above, for the sweep's folder
        folder = Path(config.hydra.sweep.dir)
        if self.resume:
            try:
                check_jobs(folder, config.hydra.job.config_name)
            except Refusal as error:
                sys.stderr.write(f"{error}\n")
                raise SystemExit(1) from None
        elif folder.exists() and any(folder.glob("*/config.yaml")):
            sys.stderr.write(f"{folder} holds a sweep already; go on with it by {KEY}={folder}, or choose another.\n")
            raise SystemExit(1)

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        (Path(config.hydra.runtime.output_dir) / "error.txt").unlink(missing_ok=True)  # of an earlier start

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)
        with_sentences(lambda: self.summarise(Path(config.hydra.sweep.dir)))

    def summarise(self, folder: Path) -> None:
        from scalian_exp.summary import summarise

        if summarise(folder):
            raise SystemExit(1)


def remove_unused(folder: Path, hydras: str | None, name: str) -> None:
    """Take back the folder that Hydra made for a job that never started; what others put there stays."""
    if (folder / "config.yaml").exists():
        return
    if hydras:
        shutil.rmtree(folder / hydras, ignore_errors=True)
    (folder / f"{name}.log").unlink(missing_ok=True)
    for path in (folder, folder.parent):
        if path.exists() and not any(path.iterdir()):
            path.rmdir()

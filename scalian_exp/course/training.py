"""Train the runs of the course, as many at a time as there are cores; what is finished stays, and the rest is resumed."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from scalian_exp.commandline.shell import shown
from scalian_exp.course.facts import newest
from scalian_exp.folders import METRICS, State, can_resume, state
from scalian_exp.refusal import Refusal
from scalian_exp.stored import metrics_of, read_overrides
from scalian_exp.vocabulary.options import CONFIGS

GROUP = "course"
"""the folder of configs/experiment that holds the course's experiments"""
RUNS, LOGS = "runs", "logs"


class Job(NamedTuple):
    """A command to run once others have ended."""

    name: str
    arguments: list[str]
    """of scalian-train or scalian-apply, which is the first"""
    needs: set[str]
    """names of the jobs that must have ended before"""


def experiment(run: str) -> Path:
    """Return the file of a run's experiment."""
    return CONFIGS / "experiment" / GROUP / f"{run}.yaml"


def training(run: str, outputs: Path, data: Sequence[str]) -> Job:
    """Return the job that trains a run, or goes on where it stopped.

    Args:
        run: name of its experiment.
        outputs: folder of the course.
        data: overrides that choose the data set.

    Raises:
        Refusal: if its folder holds a run of other data.
    """
    folder, overrides = outputs / RUNS / run, [f"experiment={GROUP}/{run}", *data, f"outputs={outputs}"]
    if state(folder) is not State.NONE and (begun := read_overrides(folder)) != overrides:
        raise Refusal(
            f"{shown(folder)} was begun with {' '.join(begun)}, not {' '.join(overrides)}; choose another folder by "
            "outputs=…, or remove this one."
        )
    others = re.findall(rf"\$\{{outputs\}}/{RUNS}/(\w+)", experiment(run).read_text(encoding="utf-8"))
    again = [f"resume={folder}"] if can_resume(folder) else overrides
    return Job(run, ["scalian_exp.train", *again], set(others) - {run})


def application(run: str, action: str, outputs: Path) -> Job:
    """Return the job that applies an action to a run."""
    arguments = ["scalian_exp.apply", f"run={outputs / RUNS / run}", f"action={action}"]
    return Job(f"{action} of {run}", arguments, {run})


def is_done(job: Job, outputs: Path) -> bool:
    """Return whether a job has left its results already."""
    if job.arguments[0] == "scalian_exp.train":
        return state(outputs / RUNS / job.name) is State.FINISHED
    action, _, run = job.name.partition(" of ")
    return newest(outputs / RUNS / run / action) is not None


class Queue:
    """Runs jobs, as many at a time as there are cores, each with one thread.

    Args:
        outputs: folder of the course.
    """

    def __init__(self, outputs: Path):
        self.outputs = outputs
        self.processes: set[subprocess.Popen[bytes]] = set()
        self.stopped = False
        self.logs = outputs / LOGS
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def run(self, jobs: list[Job]) -> dict[str, str]:
        """Run all jobs that have not left their results yet, and return why some could not be done, by name.

        Raises:
            KeyboardInterrupt: after Ctrl-C, once the trainings have saved where they are.
        """
        done = {job.name for job in jobs if is_done(job, self.outputs)}
        left = [job for job in jobs if job.name not in done]
        print(f"{len(left)} of {len(jobs)} trainings and measurements are left, {self.cores} at a time.", flush=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        failed: dict[str, str] = {}
        running: dict[Future[str | None], Job] = {}
        began, count = time.perf_counter(), len(left)
        with ThreadPoolExecutor(self.cores) as pool:
            try:
                while left or running:
                    for job in [job for job in left if not job.needs - done]:
                        left.remove(job)
                        running[pool.submit(self.one, job)] = job
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        job = running.pop(future)
                        if why := future.result():
                            failed[job.name] = why
                            for other in [other for other in left if job.name in other.needs]:
                                left.remove(other)
                                failed[other.name] = f"it needs {job.name}"
                        done.add(job.name)
                        over = count - len(left) - len(running)
                        self.tell(job, over, count, time.perf_counter() - began, failed.get(job.name))
            except BaseException:
                self.stop()
                raise
        return failed

    def one(self, job: Job) -> str | None:
        """Run a job and return None, or the last line that it wrote if it failed."""
        if self.stopped:
            return "stopped before it began"
        log = self.logs / f"{job.name.replace(' ', '_')}.log"
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", *job.arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches it through `stop` alone, and once
            )
            self.processes.add(process)
            status = process.wait()
            self.processes.discard(process)
        if status == 0:
            return None
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        return f"{next((line for line in reversed(lines) if line.strip()), f'exit {status}')} ({shown(log)})"

    def tell(self, job: Job, over: int, count: int, seconds: float, failure: str | None) -> None:
        """Print how a job ended, and about how long the others will take."""
        left = seconds / over * (count - over)
        rest = f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left" if over < count else "all done"
        metrics = metrics_of(self.outputs / RUNS / job.name) if (self.outputs / RUNS / job.name / METRICS).is_file() else {}
        score = ", ".join(f"{key.removeprefix('test/')} {value:.4g}" for key, value in metrics.items() if key.startswith("test/"))
        print(f"[{over:2}/{count}] {job.name:<26} {failure or score[:90] or 'done'}  ({rest})", flush=True)

    def stop(self) -> None:
        """Let the running trainings save where they are."""
        self.stopped = True
        for process in list(self.processes):
            process.terminate()
        for process in list(self.processes):
            process.wait()

"""Train the runs of the course, as many at a time as there are cores; keep what is finished, and resume the rest."""

import os
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from scalian_exp.commandline.shell import shown
from scalian_exp.course.experiments import Experiment
from scalian_exp.course.results import MARK, newest
from scalian_exp.folders import State, can_resume, state
from scalian_exp.memory import cores
from scalian_exp.refusal import Refusal
from scalian_exp.stored import metrics_of, read_overrides
from scalian_exp.vocabulary.grammar import literal

RUNS, LOGS = "runs", "logs"
MOST = 8
"""trainings at a time: each takes nearly 1 GB of memory"""


class Job(NamedTuple):
    """A command to run once others have ended."""

    name: str
    arguments: list[str]
    """module of the program, and its arguments"""
    needs: set[str]
    """names of the jobs that must have ended before"""
    action: str = ""
    """that it applies to a run, with arguments as on the command line; nothing for a training"""

    def is_done(self, outputs: Path) -> bool:
        """Return whether it has left its results already."""
        if not self.action:
            return state(outputs / RUNS / self.name) is State.FINISHED
        folder = newest(self.folder(outputs))
        return folder is not None and (folder / MARK).read_text(encoding="utf-8") == self.action

    def finish(self, outputs: Path) -> None:
        """Mark the results of an action as the course's: complete, and of these arguments."""
        if self.action:
            folder = max(self.folder(outputs).glob("[0-9]*"))
            (folder / MARK).write_text(self.action, encoding="utf-8")

    def folder(self, outputs: Path) -> Path:
        """Return the folder of the results of its action."""
        (run,) = self.needs
        return outputs / RUNS / run / self.action.split()[0]


def training(run: str, experiment: Experiment, outputs: Path) -> Job:
    """Return the job that trains a run, or goes on where it stopped.

    Args:
        run: its name.
        experiment: what it trains.
        outputs: folder of the course.

    Raises:
        Refusal: if its folder holds a run of other data that were asked for.
    """
    folder, place = outputs / RUNS / run, f"outputs={literal(str(outputs))}"
    if state(folder) is not State.NONE:
        begun = [override for override in read_overrides(folder) if not override.startswith("outputs=")]
        if begun != experiment.overrides and experiment.asked:
            raise Refusal(
                f"{shown(folder)} was begun with {' '.join(begun)}, not {' '.join(experiment.overrides)}; choose "
                "another folder by outputs=…, or remove this one."
            )
    arguments = [f"resume={literal(str(folder))}"] if can_resume(folder) else [*experiment.overrides, place]
    return Job(run, ["scalian_exp.train", *arguments], experiment.needs)


def application(run: str, action: str, outputs: Path) -> Job:
    """Return the job that applies an action, given with its arguments as on the command line, to a run."""
    name, *arguments = action.split()
    start = ["scalian_exp.apply", f"run={literal(str(outputs / RUNS / run))}", f"action={name}"]
    return Job(f"{name} of {run}", [*start, *arguments], {run}, action)


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
        self.cores = min(cores(), MOST)
        self.starting = Lock()

    def run(self, jobs: list[Job]) -> dict[str, str]:
        """Run all jobs that have not left their results yet, and return why some could not be done, by name.

        Raises:
            KeyboardInterrupt: after Ctrl-C, once the trainings have saved where they are.
        """
        done = {job.name for job in jobs if job.is_done(self.outputs)}
        left = [job for job in jobs if job.name not in done]
        print(f"{len(left)} of {len(jobs)} trainings and measurements are left, {self.cores} at a time.", flush=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        failed: dict[str, str] = {}
        running: dict[Future[str | None], Job] = {}
        began, count = time.perf_counter(), len(left)
        with ThreadPoolExecutor(self.cores) as pool:
            try:
                while left or running:
                    for job in [job for job in left if job.needs & failed.keys()]:
                        left.remove(job)
                        failed[job.name] = f"it needs {', '.join(sorted(job.needs & failed.keys()))}"
                    for job in [job for job in left if not job.needs - done]:
                        left.remove(job)
                        running[pool.submit(self.one, job)] = job
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        job = running.pop(future)
                        if why := future.result():
                            failed[job.name] = why
                        else:
                            done.add(job.name)
                        over = count - len(left) - len(running)
                        self.tell(job, over, count, time.perf_counter() - began, why)
            except BaseException:
                self.stop()
                raise
        return failed

    def one(self, job: Job) -> str | None:
        """Run a job and return None, or the last line that it wrote if it failed."""
        log = self.logs / f"{job.name.replace(' ', '_')}.log"
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with log.open("ab") as stream:
            with self.starting:  # none begins once `stop` has begun
                if self.stopped:
                    return "stopped before it began"
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
            job.finish(self.outputs)
            return None
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        return f"{next((line for line in reversed(lines) if line.strip()), f'exit {status}')} ({shown(log)})"

    def tell(self, job: Job, over: int, count: int, seconds: float, failure: str | None) -> None:
        """Print how a job ended, and about how long the others will take."""
        minutes = seconds / over * (count - over) / 60
        rest = "all done" if over == count else f"about {max(1, round(minutes))} min left"
        scores = [(key, value) for key, value in metrics_of(self.outputs / RUNS / job.name).items() if "test/" in key]
        written = [f"{key.removeprefix('test/')} {value:.4g}" for key, value in scores if value is not None]
        score = ", ".join(written[:4])
        print(f"[{over:2}/{count}] {job.name:<26} {failure or score or 'done'} ({rest})", flush=True)

    def stop(self) -> None:
        """Let the running trainings save where they are."""
        with self.starting:
            self.stopped = True
        for process in list(self.processes):
            process.terminate()
        for process in list(self.processes):
            process.wait()

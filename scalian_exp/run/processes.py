"""Train in several processes, which torch's launcher starts inside the job, each with the resolved config.

That way a job has one run folder and one set of logs, also in a sweep. For several machines, start the same command
once on each, with the same run folder. If torchrun has started the processes already, none is started here.
"""

import hashlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scalian_exp import folders
from scalian_exp.commandline import starting
from scalian_exp.commandline.runs import check_weights
from scalian_exp.commandline.shell import command_to_resume, shown
from scalian_exp.folders import LOG
from scalian_exp.refusal import Refusal
from scalian_exp.run import locks
from scalian_exp.vocabulary.facts import check_folder

PORT = 29500
"""port at which the machines of one job meet, unless MASTER_PORT is set; SLURM's job number is added"""
PATIENCE = 60
"""seconds that the processes have to finish their step and save it when the launcher is asked to stop"""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""signals for which torch's launcher installs its own handlers"""
INTERRUPTED = 130
"""exit code after Ctrl-C"""


def launch(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train as `run.training.train` does, in as many processes as the config asks for, and return the metrics.

    Raises:
        Refusal: if the config or the data can't work, or the machines of a job don't know where to meet.
        RuntimeError: if a process failed, with its last message.
        SystemExit: after an interruption.
    """
    check_files(config, folder)
    # Read when torch is imported, by the next line. Otherwise each process warns that no parameter was unused.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from scalian_exp.run.devices import check_accelerator, world_size

    processes = world_size(config["trainer"])
    check_processes(config, processes)
    if processes == 1 or "LOCAL_RANK" in os.environ:
        from scalian_exp.run.training import train

        starting.end()
        with locks.held(folder, lock=os.environ.get("RANK", "0") == "0"):
            return train(config, folder)
    check_accelerator(config["trainer"])
    starting.end()
    results = run_workers(config, folder, processes)
    if 0 not in results:
        print(f"this machine's processes have done their part; see {shown(folder)}", flush=True)
    return results[min(results)]


def check_files(config: dict[str, Any], folder: Path) -> None:
    """Refuse a new run whose data folder or `init_from` doesn't exist; no torch has been imported yet.

    Raises:
        Refusal: saying what is missing.
    """
    check_folder(config["dataset"])
    if config.get("init_from") and folders.checkpoint(folder, "last", "start") is None:
        check_weights("init_from", Path(config["init_from"]))


def check_processes(config: dict[str, Any], processes: int) -> None:
    """Refuse a number of processes that torchrun contradicts, or by which the batch size can't be divided.

    Raises:
        Refusal: saying what to change.
    """
    if (started := os.environ.get("WORLD_SIZE")) and "LOCAL_RANK" in os.environ and int(started) != processes:
        raise Refusal(
            f"torchrun has started {started} processes, but the config asks for {processes}; set "
            "trainer/accelerator=ddp_cpu or ddp, trainer.devices=… and perhaps trainer.num_nodes=…"
        )
    if (batch := config["dataset"].get("batch_size", 0)) % processes:
        raise Refusal(f"dataset.batch_size={batch} can't be shared evenly by {processes} processes; give a multiple.")


def run_workers(config: dict[str, Any], folder: Path, processes: int) -> dict[int, dict[str, Any]]:
    """Start this machine's share of a job's processes, wait for them, and return each rank's metrics."""
    import torch
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    for library in list(logging.root.manager.loggerDict):
        if library.startswith(("torch.distributed", "torch.multiprocessing")):
            logging.getLogger(library).setLevel(logging.CRITICAL)  # `supervise` reports failures
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(PATIENCE))  # an argument only in the latest torch
    machines = config["trainer"]["num_nodes"]
    count = processes // machines
    threads = max(1, torch.get_num_threads() // count)
    with TemporaryDirectory() as logs, signals_restored(), locks.held(folder, lock=machines == 1):
        settings = LaunchConfig(
            min_nodes=machines,
            max_nodes=machines,
            nproc_per_node=count,
            rdzv_backend="c10d",
            rdzv_endpoint=meeting_point() if machines > 1 else "localhost:0",
            run_id=hashlib.md5(str(folder.absolute()).encode(), usedforsecurity=False).hexdigest(),
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        if machines > 1:
            print(f"waits for {machines} machines to meet at {settings.rdzv_endpoint}", flush=True)
        return supervise(settings, config, folder, threads)


def supervise(settings: Any, config: dict[str, Any], folder: Path, threads: int) -> dict[int, dict[str, Any]]:
    """Run `work` in the processes of torch's launcher, and report how they end.

    Args:
        settings: the launcher's.
        config: the resolved config.
        folder: the run folder.
        threads: number of threads of each process.

    Raises:
        Refusal, RuntimeError, SystemExit: as `launch` does.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    from scalian_exp.trust import arguments_to_resume

    before = written(folder)
    try:
        results: dict[int, dict[str, Any]] = elastic_launch(settings, work)(config, folder, threads)
    except SignalException as stop:
        silent = written(folder) == before  # while they train, the processes report the interruption themselves
        if silent and stop.sigval == signal.SIGTERM and folders.checkpoint(folder, "last", "start"):
            rest = arguments_to_resume(config, folder)
            print(f"\nInterrupted; go on with: {command_to_resume(folder, arguments=rest)}", flush=True)
        raise SystemExit(INTERRUPTED) from None
    except ChildFailedError as error:
        raise error_of(*error.get_first_failure()) from None
    except RendezvousError as error:
        raise Refusal(
            f"The machines of this job did not meet at {settings.rdzv_endpoint} ({error}); start the same command on "
            "each of them, with the same hydra.run.dir, and MASTER_ADDR=HOST, the name of the first."
        ) from None
    return results


def work(config: dict[str, Any], folder: Path, threads: int) -> dict[str, Any]:
    """Train in one of the processes that `launch` has started."""
    import torch

    from scalian_exp.run.training import train

    torch.set_num_threads(threads)
    multiprocessing.set_start_method(None, force=True)  # this process was spawned, but data loaders should be forked
    if os.environ["RANK"] == "0":
        handlers: list[logging.Handler] = [
            logging.StreamHandler(),
            logging.FileHandler(folder / LOG, delay=True),
        ]
        logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers)
    machines = config["trainer"]["num_nodes"]
    with locks.held(folder, lock=machines > 1 and os.environ["RANK"] == "0"):  # on one machine, the launcher locks it
        return train(config, folder)


def written(folder: Path) -> int | None:
    """Return when a run's metrics.json was written, in nanoseconds; None if there is none."""
    file = folder / folders.METRICS
    return file.stat().st_mtime_ns if file.exists() else None


def meeting_point() -> str:
    """Return host:port of a job's first machine, from MASTER_ADDR or else from SLURM.

    Raises:
        Refusal: if neither is set.
    """
    host = os.environ.get("MASTER_ADDR")
    if host is None and (nodes := os.environ.get("SLURM_JOB_NODELIST")):
        from pytorch_lightning.plugins.environments import SLURMEnvironment

        host = SLURMEnvironment.resolve_root_node_address(nodes)
    if host is None:
        raise Refusal(
            "trainer.num_nodes: the machines must know where to meet; on each of them set MASTER_ADDR=HOST, the "
            "name of the first, and start the same command with the same hydra.run.dir."
        )
    port = PORT + int(os.environ.get("SLURM_JOB_ID", "0")) % 1000  # machines may be shared by several jobs
    return f"{host}:{os.environ.get('MASTER_PORT', port)}"


def error_of(rank: int, failure: Any) -> BaseException:
    """Return the exception to raise for the first process that failed."""
    if failure.exitcode == INTERRUPTED:
        return SystemExit(INTERRUPTED)
    if isinstance(failure.message, str):
        return RuntimeError(f"Process {rank} of this job ended: {failure.message}.")
    message: str = failure.message["message"]
    kind, _, sentence = message.partition(": ")
    if kind in (Refusal.__name__, locks.InUse.__name__):
        return Refusal(sentence)
    return RuntimeError(f"Process {rank} of this job failed.\n{failure.message['extraInfo']['py_callstack'].strip()}")


@contextmanager
def signals_restored() -> Iterator[None]:
    """Restore the handlers of signals when the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Train in several processes: torch's own launcher starts them inside the job, each with the resolved config.

So there is one run folder a job and one set of logs, in sweeps too. On several machines the same command is started
once on each, with the same run folder; where torchrun has started the processes already, none is started here.
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
from scalian_exp.commandline.shell import command_to_resume, shown
from scalian_exp.folders import LOG
from scalian_exp.refusal import Refusal
from scalian_exp.run import locks

PORT = 29500
"""where the machines of one job meet, if neither MASTER_PORT nor the number of SLURM's job tells"""
PATIENCE = 60
"""seconds that a job's processes have when the launcher is told to end: for the step they are in, and to save it"""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""those that torch's launcher handles in its own way, and goes on to"""
INTERRUPTED = 130
"""exit code after Ctrl-C"""


def launch(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train as run/training.py does, in as many processes as the config says.

    Raises:
        Refusal: as there; or if the machines of a job don't know where to meet.
        RuntimeError: if a process failed, with what it said last.
        SystemExit: after an interruption.
    """
    # Else each process warns that a parameter was never unused. Read when torch is imported, by the next line.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from scalian_exp.run.devices import check_accelerator, world_size

    together = world_size(config["trainer"])
    if (started := os.environ.get("WORLD_SIZE")) and "LOCAL_RANK" in os.environ and int(started) != together:
        raise Refusal(
            f"torchrun has started {started} processes, but the config means {together}; say "
            "trainer/accelerator=ddp_cpu or ddp, trainer.devices=… and perhaps trainer.num_nodes=…"
        )
    if (batch := config["dataset"].get("batch_size", 0)) % together:
        raise Refusal(f"dataset.batch_size={batch} can't be shared evenly by {together} processes; give a multiple.")
    if together == 1 or "LOCAL_RANK" in os.environ:
        from scalian_exp.run.training import train

        with locks.held(folder, lock=os.environ.get("RANK", "0") == "0"):
            return train(config, folder)

    import torch
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from scalian_exp.trust import arguments_to_resume

    check_accelerator(config["trainer"])
    for library in list(logging.root.manager.loggerDict):
        if library.startswith(("torch.distributed", "torch.multiprocessing")):
            logging.getLogger(library).setLevel(logging.CRITICAL)  # what failed is told below
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(PATIENCE))  # an argument only of the latest torch
    machines = config["trainer"]["num_nodes"]
    count = together // machines
    threads = max(1, torch.get_num_threads() // count)
    with TemporaryDirectory() as logs, own_signals(), locks.held(folder, lock=machines == 1):
        launch = LaunchConfig(
            min_nodes=machines,
            max_nodes=machines,
            nproc_per_node=count,
            rdzv_backend="c10d",
            rdzv_endpoint=meeting_point() if machines > 1 else "localhost:0",
            run_id=hashlib.md5(str(folder.absolute()).encode(), usedforsecurity=False).hexdigest(),
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        before = written(folder)
        if machines > 1:
            print(f"waits for {machines} machines to meet at {launch.rdzv_endpoint}", flush=True)
        try:
            results: dict[int, dict[str, Any]] = elastic_launch(launch, work)(config, folder, threads)
        except SignalException as stop:
            silent = written(folder) == before  # no process has told it, as they do while they train
            if silent and stop.sigval == signal.SIGTERM and folders.checkpoint(folder, "last", "start"):
                rest = arguments_to_resume(config, folder)
                print(f"\nInterrupted; go on with: {command_to_resume(folder, arguments=rest)}", flush=True)
            raise SystemExit(INTERRUPTED) from None
        except ChildFailedError as error:
            raise told(*error.get_first_failure()) from None
        except RendezvousError as error:
            raise Refusal(
                f"The machines of this job did not meet at {launch.rdzv_endpoint} ({error}); start the same command on "
                "each of them, with the same hydra.run.dir, and MASTER_ADDR=<name of the first>."
            ) from None
    if 0 not in results:
        print(f"this machine's processes have done their part; see {shown(folder)}", flush=True)
    return results[min(results)]


def work(config: dict[str, Any], folder: Path, threads: int) -> dict[str, Any]:
    """One of the processes."""
    import torch

    from scalian_exp.run.training import train

    torch.set_num_threads(threads)
    multiprocessing.set_start_method(None, force=True)  # of loaders' processes: not "spawn", as this one was started
    if os.environ["RANK"] == "0":
        handlers: list[logging.Handler] = [
            logging.StreamHandler(),
            logging.FileHandler(folder / LOG, delay=True),
        ]
        logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers)
    machines = config["trainer"]["num_nodes"]
    with locks.held(folder, lock=machines > 1 and os.environ["RANK"] == "0"):  # of one machine, the launcher holds it
        return train(config, folder)


def written(folder: Path) -> int | None:
    """When a run's metrics.json was written, in nanoseconds."""
    file = folder / folders.METRICS
    return file.stat().st_mtime_ns if file.exists() else None


def meeting_point() -> str:
    """host:port of the first machine: what MASTER_ADDR says, or SLURM.

    Raises:
        Refusal: if neither does.
    """
    host = os.environ.get("MASTER_ADDR")
    if host is None and (nodes := os.environ.get("SLURM_JOB_NODELIST")):
        from pytorch_lightning.plugins.environments import SLURMEnvironment

        host = SLURMEnvironment.resolve_root_node_address(nodes)
    if host is None:
        raise Refusal(
            "trainer.num_nodes: the machines must know where to meet; on each of them set MASTER_ADDR=<name of the "
            "first> and start the same command, with the same hydra.run.dir."
        )
    port = PORT + int(os.environ.get("SLURM_JOB_ID", "0")) % 1000  # machines may be shared by several jobs
    return f"{host}:{os.environ.get('MASTER_PORT', port)}"


def told(rank: int, failure: Any) -> BaseException:
    """What the first process to fail leaves to say."""
    if failure.exitcode == INTERRUPTED:
        return SystemExit(INTERRUPTED)
    if isinstance(failure.message, str):
        return RuntimeError(f"Process {rank} of this job ended: {failure.message}.")
    message: str = failure.message["message"]
    kind, _, sentence = message.partition(": ")
    if kind == Refusal.__name__:
        return Refusal(sentence)
    return RuntimeError(f"Process {rank} of this job failed.\n{failure.message['extraInfo']['py_callstack'].strip()}")


@contextmanager
def own_signals() -> Iterator[None]:
    """Signals mean afterwards what they meant before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""How a training ends: errors of the device told plainly, interruptions with the command that goes on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from scalian_exp import folders
from scalian_exp.build import one_line
from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.distributed import ranks
from scalian_exp.refusal import Refusal


@contextmanager
def told_plainly() -> Iterator[None]:
    """
    Raises:
        Refusal: instead of torch's and Lightning's errors, where what the config asks for can't be done.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise Refusal(one_line(error)) from error
    except torch.OutOfMemoryError as error:
        raise Refusal(
            "The GPU's memory is too small for this; take a smaller dataset.batch_size or trainer.precision=bf16-mixed."
        ) from error
    except RuntimeError as error:
        if str(error).startswith("Early stopping conditioned on metric"):
            raise Refusal(one_line(error)) from error
        if "does not have a deterministic implementation" not in str(error):
            raise
        raise Refusal(
            f"trainer.deterministic=true: {str(error).partition(',')[0]}; use trainer.deterministic=warn."
        ) from error


@contextmanager
def ending_cleanly(folder: Path) -> Iterator[None]:
    """Exit code 130 after Ctrl-C, as shells expect; Lightning's is 1, and it leaves later Ctrl-Cs ignored. A request to
    terminate ends as cleanly. Once the run has begun, the command that goes on with it is printed."""
    # a cluster's launcher has a handler of its own, which puts a job back into its queue
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:  # before and after Lightning's loops, which handle theirs
        if folders.state(folder) is folders.State.NONE:
            raise
        if ranks.rank() == 0:
            print(f"\nInterrupted. Go on with: {command_to_resume(folder)}", flush=True)
        raise SystemExit(130) from None
    except SystemExit:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise SystemExit(130) from None
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

"""How a training ends early: errors become sentences, and interruptions print the command that resumes the run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from scalian_exp import folders
from scalian_exp.build import one_line
from scalian_exp.commandline.shell import command, command_to_resume, word
from scalian_exp.distributed import ranks
from scalian_exp.refusal import Refusal, refusal_in


@contextmanager
def device_failures_refused() -> Iterator[None]:
    """Turn errors of torch and Lightning that the user can mend into a Refusal.

    Raises:
        Refusal: if what the config asks for can't be done on this device, or is too large for it.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise Refusal(one_line(error)) from error
    except torch.OutOfMemoryError as error:
        raise Refusal(
            "The GPU's memory is too small for this; use a smaller dataset.batch_size or trainer.precision=bf16-mixed."
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
def weights_kept(folder: Path) -> Iterator[None]:
    """Add to a refusal by the test after a training that the weights are kept, and the command that tests them.

    Raises:
        Refusal: with the command, if what is inside refuses.
    """
    try:
        yield
    except Refusal as error:
        if folders.checkpoint(folder, "best", "last") is None:
            raise
        again = f"{command('scalian-apply')} {word('run', folder)} action=evaluate"
        raise Refusal(
            f"{refusal_in(str(error))} The trained weights are kept; once that is mended, test them with: {again}"
        ) from error


@contextmanager
def ending_cleanly(folder: Path) -> Iterator[None]:
    """End with exit code 130 after Ctrl-C or SIGTERM, as shells expect, and print the command that resumes the run.

    Lightning would end with 1 and leave later Ctrl-Cs ignored. Nothing is printed if the run had not begun.
    """
    # a cluster's launcher may have its own handler, which puts the job back into its queue
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:  # outside Lightning's loops, which handle their own
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

"""End a command quietly if Ctrl-C interrupts it while it starts.

Libraries may catch a KeyboardInterrupt while they are imported, or make another error of it. So in the first second, in
which nothing has been written, a handler ends the process at once. From then until torch and Lightning are imported,
another one remembers the interruption.
"""

import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

INTERRUPTED = "Interrupted before anything was done.\n"


def end_now(_number: int, _frame: Any) -> None:
    """End the process with the exit code for Ctrl-C."""
    os.write(2, INTERRUPTED.encode())
    os._exit(130)


class Remembering:
    """A handler of Ctrl-C that raises KeyboardInterrupt, and knows later that it did."""

    def __init__(self) -> None:
        self.interrupted = False

    def __call__(self, _number: int, _frame: Any) -> None:
        """Interrupt what runs."""
        self.interrupted = True
        raise KeyboardInterrupt


def begin(program: str) -> None:
    """Install the handler if this process is a command of this package, and neither a library's user nor a worker."""
    path = Path(program)
    ours = path.name.startswith("scalian-") or path.parent.name == "scalian_exp"
    if not ours or multiprocessing.parent_process() or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup's stay ignored
        signal.signal(signal.SIGINT, end_now)


def remember() -> None:
    """Let Ctrl-C raise a KeyboardInterrupt, which `end` repeats if a library catches it."""
    if signal.getsignal(signal.SIGINT) is end_now:
        signal.signal(signal.SIGINT, Remembering())


def end() -> None:
    """Hand Ctrl-C back to Python, once the libraries have been imported.

    Raises:
        KeyboardInterrupt: if one of them has caught it.
    """
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, Remembering):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if handler.interrupted:
            raise KeyboardInterrupt


begin(sys.argv[0])

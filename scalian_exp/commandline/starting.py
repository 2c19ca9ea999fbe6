"""End a command quietly if Ctrl-C interrupts it during its first second, in which it imports libraries.

Imported before them. Libraries may catch a KeyboardInterrupt, or make another error of it, so a handler ends the
process at once; nothing has been written yet.
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


def begin(program: str) -> None:
    """Install the handler if this process is a command of this package, and neither a library's user nor a worker."""
    path = Path(program)
    ours = path.name.startswith("scalian-") or path.parent.name == "scalian_exp"
    if not ours or multiprocessing.parent_process() or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup's stay ignored
        signal.signal(signal.SIGINT, end_now)


def end() -> None:
    """Hand Ctrl-C back to Python, whose KeyboardInterrupt can be handled."""
    if signal.getsignal(signal.SIGINT) is end_now:
        signal.signal(signal.SIGINT, signal.default_int_handler)


begin(sys.argv[0])

"""Signals that end a training wait until the step that is being done is complete."""

import signal
import threading
from types import FrameType
from typing import Any

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
"""Ctrl-C, a request to end, and those by which SLURM and submitit announce that a job is about to be pre-empted"""


class Interruption:
    """Handlers for the signals that end a training, from `take` to `release`.

    During a step a signal is only noted in `received`; a second one, or one that comes at any other time, acts at once.
    A handler that was there before, as a cluster's launcher has one that puts the job back into its queue, has the last
    word; else the training is interrupted as by Ctrl-C.
    """

    def __init__(self) -> None:
        # Lightning adds its own to these before the training begins
        self.foreign: dict[int, Any] = {number: signal.getsignal(number) for number in ENDING}
        self.before: dict[int, Any] = {}
        self.stepping = False
        self.received: int | None = None

    def take(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self.foreign.items():
            if handler not in (signal.SIG_IGN, None):  # nohup's signals stay ignored
                self.before[number] = signal.signal(number, self.handle)

    def release(self) -> None:
        self.stepping = False
        for number, handler in self.before.items():
            if signal.getsignal(number) == self.handle:  # Lightning ignores Ctrl-C while it ends
                signal.signal(number, handler)
        self.before = {}

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.stepping and self.received is None:
            self.received = number
        else:
            self.act(number, frame)

    def act(self, number: int | None, frame: FrameType | None = None) -> None:
        """What a signal means, also one that another process has received, None.

        Raises:
            KeyboardInterrupt: unless somebody else handles it.
        """
        self.received = None
        if number is None or self.foreign[number] in (signal.SIG_DFL, signal.default_int_handler):
            raise KeyboardInterrupt
        self.foreign[number](number, frame)

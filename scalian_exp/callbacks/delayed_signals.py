"""Delay signals that end a training until the current step is complete."""

import signal
import threading
from types import FrameType
from typing import Any

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
"""Ctrl-C, a request to terminate, and the signals with which SLURM and submitit announce that a job is preempted"""


class DelayedSignals:
    """Handlers for the signals that end a training, from `take` to `release`.

    During a step a signal is only noted in `received`; a second one, or one at any other time, takes effect at once.
    Then the handler that was there before is called, such as that of a cluster's launcher, which puts the job back into
    its queue; if there was none, the training is interrupted as by Ctrl-C.
    """

    def __init__(self) -> None:
        # taken now because Lightning adds its own handlers before the training begins
        self.foreign: dict[int, Any] = {number: signal.getsignal(number) for number in ENDING}
        self.before: dict[int, Any] = {}
        self.stepping = False
        self.received: int | None = None

    def take(self) -> None:
        """Install the handlers, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self.foreign.items():
            if handler not in (signal.SIG_IGN, None):  # nohup's signals stay ignored
                self.before[number] = signal.signal(number, self.handle)

    def release(self) -> None:
        """Restore the handlers that were there before."""
        self.stepping = False
        for number, handler in self.before.items():
            if signal.getsignal(number) == self.handle:  # Lightning ignores Ctrl-C while it ends
                signal.signal(number, handler)
        self.before = {}

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal during a step; act on it at any other time."""
        if self.stepping and self.received is None:
            self.received = number
        else:
            self.act(number, frame)

    def act(self, number: int | None, frame: FrameType | None = None) -> None:
        """Interrupt the training, or call the earlier handler of a signal.

        Args:
            number: the signal; None if another process has received it.
            frame: as Python hands it to handlers.

        Raises:
            KeyboardInterrupt: unless the signal has another handler.
        """
        self.received = None
        if number is None or self.foreign[number] in (signal.SIG_DFL, signal.default_int_handler):
            raise KeyboardInterrupt
        self.foreign[number](number, frame)

"""Run the commands in this process, which saves the seconds that a new one takes to start."""

import contextlib
import importlib
import io
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from hydra.core.hydra_config import HydraConfig

from scalian_exp import apply, report
from scalian_exp.train import main

COMMANDS: dict[str, Callable[[], None]] = {
    "scalian-train": main,
    "scalian-apply": apply.main,
    "scalian-report": report.main,
}


def invoke(cwd: Path, command: str, *arguments: str) -> tuple[int, str]:
    """Run a command in a folder.

    Returns:
        Its exit code and everything it prints, a traceback included.
    """
    output = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(output):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", [command, *arguments])
        patch.setattr(sys, "path", sys.path[:])
        try:
            COMMANDS[command]()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            if isinstance(stop.code, str):
                print(stop.code)
        except Exception:  # as the interpreter does at the end of a process
            code = 1
            print(traceback.format_exc())
        finally:
            for handler in set(root.handlers) - set(handlers):
                handler.close()
            root.handlers[:] = handlers
            root.setLevel(level)
    return code, output.getvalue()


def ends_well(code: int, output: str) -> bool:
    """Tell whether a command worked or ended with a message, rather than with a traceback."""
    return "Traceback (most recent call last)" not in output and (code == 0 or bool(output.strip()))


QUICK = [
    *["callbacks=minimal", "logger=none", "trainer/accelerator=cpu", "trainer.max_epochs=1", "dataset=fake_images"],
    *["model.network.hidden=[8]", "model.network.latent_dim=2"],
]


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def command(*arguments: str, cwd: Path, module: str = "train") -> Result:
    """Run a command in this process, which is ten times as fast as a new one because torch is loaded already."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    before = os.environ.copy(), Path.cwd(), sys.path[:]
    os.chdir(cwd)
    try:
        with (
            patch.object(sys, "argv", [f"scalian-{module}", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            importlib.import_module(f"scalian_exp.{module}").main()
    except SystemExit as stop:
        code = stop.code
    finally:
        os.chdir(before[1])
        os.environ.clear()
        os.environ.update(before[0])
        sys.path[:] = before[2]
        logging.getLogger().handlers.clear()
        HydraConfig.instance().cfg = None
    if isinstance(code, str):  # the interpreter prints it and exits with 1
        err.write(code + "\n")
        code = 1
    return Result(int(code or 0), out.getvalue(), err.getvalue())  # type: ignore[call-overload]


def process(
    *arguments: str, cwd: Path, module: str = "train", timeout: float = 250, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a new process."""
    return subprocess.run(
        [sys.executable, "-m", f"scalian_exp.{module}", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def refused(*arguments: str, cwd: Path, module: str = "train") -> str:
    """Return the message that refuses a command line, after checking that it is all there is on stderr."""
    result = command(*arguments, cwd=cwd, module=module)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert not list(cwd.glob("outputs/*/*")), "a half-made run folder"
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    return lines[0]

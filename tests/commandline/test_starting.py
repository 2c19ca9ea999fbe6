"""Ctrl-C while a command starts."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tools import tree

from scalian_exp.commandline import starting

ENDS_ITSELF = """
import os, runpy, signal, sys

class Interrupting:
    '''Sends Ctrl-C when a library is about to be imported.'''

    def find_spec(self, name, path=None, target=None):
        if name == library:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:  # as in a library's bare `except`
                pass

sys.meta_path.insert(0, Interrupting())
program, library, *overrides = sys.argv[1:]
sys.argv[1:] = overrides
sys.argv[0] = f"/usr/bin/scalian-{program}"
signal.signal(signal.SIGINT, signal.default_int_handler)
__import__(f"scalian_exp.{program}", fromlist=["main"]).main()
"""


@pytest.mark.parametrize("program", ["train", "apply", "report"])
@pytest.mark.parametrize("library", ["hydra", "omegaconf", "scalian_exp.commandline.app"])
def test_ctrl_c_while_libraries_are_imported_ends_quietly(program: str, library: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", ENDS_ITSELF, program, library]
    result = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    assert (result.returncode, result.stderr) == (130, starting.INTERRUPTED)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "pytorch_lightning", "model=vae", "trainer=debug"),
        pytest.param(
            ("train", "torch", "model=vae", "trainer=debug", "trainer/accelerator=ddp_cpu"), marks=pytest.mark.slow
        ),
        pytest.param(("apply", "torch", "run=outputs", "action=sample"), marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_that_a_library_catches_is_not_lost(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "outputs/checkpoints").mkdir(parents=True)
    (tmp_path / "outputs/checkpoints/last.ckpt").touch()  # else apply would refuse before torch is imported
    before = tree(tmp_path)
    command = [sys.executable, "-c", ENDS_ITSELF, *arguments]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    assert (result.returncode, result.stderr) == (130, starting.INTERRUPTED)
    assert tree(tmp_path) == before


def test_programs_that_import_this_package_keep_their_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        starting.begin("/home/me/experiment.py")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        starting.begin("/usr/bin/scalian-train")
        assert signal.getsignal(signal.SIGINT) is starting.end_now
        starting.remember()
        starting.end()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
        starting.begin("/usr/bin/scalian-train")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.signal(signal.SIGINT, signal.default_int_handler)
        monkeypatch.setattr("multiprocessing.parent_process", lambda: 1)
        starting.begin("/usr/bin/scalian-train")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)

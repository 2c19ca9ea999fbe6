"""Killed at any operation on its files, a run goes on and comes to the same, to the bit."""

import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import command
from sweeps import MEASURED, table
from tools import fake, widths

KILLED, REFUSED = 99, 1
KINDS = ["autoencoder", "vae", "gan", "rbm", "dbn", "pixelcnn", "unet"]
EVENTS = {"os.rename": 0, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}
"""what changes files → which of its arguments is the path"""


def forked(action: Callable[[], int]) -> int:
    """Do it in a copy of this process, which has torch in memory already; returns its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        torch.set_num_threads(1)  # the threads of OpenMP have not come along
        os._exit(action())
    except BaseException:
        traceback.print_exc()
        os._exit(70)


def killed_at(number: int, folder: Path, counts: Path | None = None) -> None:
    """End this process at the so-manieth operation on files in a folder. torch.save counts twice: before it begins, and
    with half of its file written.

    Args:
        counts: write the operations so far into this file, a line each.
    """
    seen: list[str] = []
    within = False

    def tick(what: str, path: Any) -> None:
        nonlocal within
        if within or not isinstance(path, str | bytes | os.PathLike):
            return
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 — Path.resolve would raise events
        nothing = what == "os.mkdir" and os.path.isdir(place)  # noqa: PTH112
        if nothing or not place.startswith(f"{folder}/"):
            return
        seen.append(f"{what} {place.removeprefix(str(folder))}")
        if len(seen) == number:
            os._exit(KILLED)
        if counts is not None:
            within = True
            counts.write_text("\n".join(seen))
            within = False

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS:
            tick(event, arguments[EVENTS[event]])
        elif event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            tick(event, arguments[0])

    save = torch.save

    def saved(contents: Any, file: Any, *rest: Any, **more: Any) -> None:
        tick("torch.save", file)
        save(contents, file, *rest, **more)
        if len(seen) + 1 == number:
            os.truncate(file, Path(file).stat().st_size // 2)
        tick("half of torch.save", file)

    torch.save = saved
    sys.addaudithook(audit)


def started(*arguments: str, cwd: Path, kill_at: int = 0, counts: Path | None = None) -> tuple[int, str]:
    """A command in a copy of this process: its exit code, and what it said."""
    said = cwd / "said.txt"

    def run() -> int:
        killed_at(kill_at, cwd / "here", counts)
        result = command(*arguments, cwd=cwd)
        said.write_text(result.stdout + result.stderr)
        return result.returncode

    said.unlink(missing_ok=True)
    code = forked(run)
    return code, said.read_text() if said.exists() else ""


def advised(text: str) -> list[str]:
    """The arguments of the command that a refusal advises; [] if it advises none."""
    found = re.search(r"scalian-train (.*)$", text, re.MULTILINE)
    return shlex.split(found[1]) if found else []


def gone_on(first: list[str], resume: str, cwd: Path, by_resume: bool) -> None:
    """Go on as a user does: by resume or by the command that was killed; if that is refused, as the refusal says."""
    tried = [resume] if by_resume else first
    code, said = started(*tried, cwd=cwd)
    if code == REFUSED:
        tried = advised(said) or first
        code, said = started(*tried, cwd=cwd)
    assert code == 0, f"{shlex.join(tried)}: {said}"


def tiny_words(model: str) -> list[str]:
    """Words that train a tiny version of a model on fake data."""
    return [
        *[f"model={model}", f"dataset={fake(model)}", "trainer/accelerator=cpu", "trainer.max_epochs=2"],
        *["callbacks=minimal", "logger=csv", "trainer.log_every_n_steps=1", *widths(model)],
    ]


def results(run: Path) -> dict[str, Any]:
    """All that a finished run has come to: weights, metrics but the clock's, curves."""
    metrics = json.loads((run / "metrics.json").read_text())
    assert not [*run.rglob("*.part"), *run.glob(".lock*")]
    return {
        "metrics": {name: value for name, value in metrics.items() if name not in MEASURED},
        "curves": (run / "csv/metrics.csv").read_text(),
        "config": (run / "config.yaml").read_text(),
        **{
            f"{name} {key}": values.tolist()
            for name in ("best", "last")
            for key, values in torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"].items()
        },
    }


def points(count: int, every: bool) -> range:
    return range(1, count + 1) if every else range(2, count + 1, max(1, count // 4))


@pytest.mark.parametrize(
    ("model", "every"),
    [("autoencoder", False), *[pytest.param(model, True, marks=pytest.mark.slow) for model in KINDS]],
)
def test_a_run_that_is_killed_anywhere_goes_on_to_the_same(model: str, every: bool, tmp_path: Path) -> None:
    words = [*tiny_words(model), "hydra.run.dir=here"]
    counts = tmp_path / "counts.txt"
    assert command(*words, cwd=tmp_path).returncode == 0  # what is imported now, the copies need not import
    (tmp_path / "whole").mkdir()
    code, said = started(*words, cwd=tmp_path / "whole", counts=counts)
    assert code == 0, said
    whole, operations = results(tmp_path / "whole/here"), counts.read_text().splitlines()
    assert len(operations) > 20
    for number in points(len(operations), every):
        cwd = tmp_path / str(number)
        cwd.mkdir()
        assert started(*words, cwd=cwd, kill_at=number)[0] == KILLED
        gone_on(words, "resume=here", cwd, by_resume=number % 2 == 0)
        assert results(cwd / "here") == whole, operations[number - 1]


@pytest.mark.slow
def test_a_sweep_that_is_killed_anywhere_goes_on_to_the_same(tmp_path: Path) -> None:
    words = ["-m", *tiny_words("autoencoder"), "trainer.max_epochs=1", "seed=1,2", "hydra.sweep.dir=here"]
    counts = tmp_path / "counts.txt"
    assert command(*words, cwd=tmp_path).returncode == 0
    (tmp_path / "whole").mkdir()
    assert started(*words, cwd=tmp_path / "whole", counts=counts)[0] == 0
    whole, operations = table(tmp_path / "whole/here"), counts.read_text().splitlines()
    for number in points(len(operations), every=True):
        cwd = tmp_path / str(number)
        cwd.mkdir()
        assert started(*words, cwd=cwd, kill_at=number)[0] == KILLED
        gone_on(words, "sweep.resume=here", cwd, by_resume=number % 2 == 0)
        assert table(cwd / "here") == whole, operations[number - 1]

"""A run that is killed at any operation on its files resumes to bit-for-bit the same result."""

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
"""audit event that changes files → index of the argument that is the path"""


def forked(action: Callable[[], int]) -> int:
    """Run an action in a fork of this process, which has torch loaded already, and return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        torch.set_num_threads(1)  # a fork has no OpenMP threads
        os._exit(action())
    except BaseException:
        traceback.print_exc()
        os._exit(70)


def killed_at(number: int, folder: Path, counts: Path | None = None) -> None:
    """End this process at the n-th operation on files in a folder.

    torch.save counts twice: before it begins, and with half of its file written.

    Args:
        number: n, counted from 1; 0 never ends the process.
        folder: the folder.
        counts: file to which the operations so far are written, one per line.
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
    """Run a command in a fork of this process, and return its exit code and output."""
    output = cwd / "output.txt"

    def run() -> int:
        killed_at(kill_at, cwd / "run", counts)
        result = command(*arguments, cwd=cwd)
        output.write_text(result.stdout + result.stderr)
        return result.returncode

    output.unlink(missing_ok=True)
    code = forked(run)
    return code, output.read_text() if output.exists() else ""


def advised(text: str) -> list[str]:
    """Return the arguments of the command that a refusal advises; [] if it advises none."""
    match = re.search(r"scalian-train (.*)$", text, re.MULTILINE)
    return shlex.split(match[1]) if match else []


def go_on(first: list[str], resume: str, cwd: Path, by_resume: bool) -> None:
    """Resume, or repeat the command that was killed, and if that is refused, follow the refusal's advice."""
    arguments = [resume] if by_resume else first
    code, output = started(*arguments, cwd=cwd)
    if code == REFUSED:
        arguments = advised(output) or first
        code, output = started(*arguments, cwd=cwd)
    assert code == 0, f"{shlex.join(arguments)}: {output}"


def tiny_overrides(model: str) -> list[str]:
    """Return the overrides that train a tiny version of a model on fake data."""
    return [
        *[f"model={model}", f"dataset={fake(model)}", "trainer/accelerator=cpu", "trainer.max_epochs=2"],
        *["callbacks=minimal", "logger=csv", "trainer.log_every_n_steps=1", *widths(model)],
    ]


def results(run: Path) -> dict[str, Any]:
    """Return the results of a finished run: weights, curves, and metrics except for measured times."""
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
def test_a_run_killed_anywhere_resumes_to_the_same_result(model: str, every: bool, tmp_path: Path) -> None:
    overrides = [*tiny_overrides(model), "hydra.run.dir=run"]
    counts = tmp_path / "counts.txt"
    assert command(*overrides, cwd=tmp_path).returncode == 0  # forks needn't import what is imported now
    (tmp_path / "straight").mkdir()
    code, output = started(*overrides, cwd=tmp_path / "straight", counts=counts)
    assert code == 0, output
    expected, operations = results(tmp_path / "straight/run"), counts.read_text().splitlines()
    assert len(operations) > 20
    for number in points(len(operations), every):
        cwd = tmp_path / str(number)
        cwd.mkdir()
        assert started(*overrides, cwd=cwd, kill_at=number)[0] == KILLED
        go_on(overrides, "resume=run", cwd, by_resume=number % 2 == 0)
        assert results(cwd / "run") == expected, operations[number - 1]


@pytest.mark.slow
def test_a_sweep_killed_anywhere_resumes_to_the_same_result(tmp_path: Path) -> None:
    overrides = ["-m", *tiny_overrides("autoencoder"), "trainer.max_epochs=1", "seed=1,2", "hydra.sweep.dir=run"]
    counts = tmp_path / "counts.txt"
    assert command(*overrides, cwd=tmp_path).returncode == 0
    (tmp_path / "straight").mkdir()
    assert started(*overrides, cwd=tmp_path / "straight", counts=counts)[0] == 0
    expected, operations = table(tmp_path / "straight/run"), counts.read_text().splitlines()
    for number in points(len(operations), every=True):
        cwd = tmp_path / str(number)
        cwd.mkdir()
        assert started(*overrides, cwd=cwd, kill_at=number)[0] == KILLED
        go_on(overrides, "sweep.resume=run", cwd, by_resume=number % 2 == 0)
        assert table(cwd / "run") == expected, operations[number - 1]

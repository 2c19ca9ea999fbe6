"""Commands and paths as they are printed: each can be pasted into a shell."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from scalian_exp.stored import read_hydra, read_overrides
from scalian_exp.vocabulary.grammar import literal


def word(key: str, value: str | Path) -> str:
    """`key=value` to be pasted into a shell, with which Hydra reads just this text; a path is shown as typed here."""
    return shlex.quote(f"{key}={literal(shown(value) if isinstance(value, Path) else value)}")


def command(name: str, *arguments: str) -> str:
    """A command to be pasted into a shell.

    Args:
        name: a program of this installation.
        arguments: as the program is to get them; none is quoted for the shell yet.
    """
    return shlex.join([program(name), *arguments])


def command_to_resume(folder: Path, key: str = "resume", arguments: Sequence[str] = ()) -> str:
    """The command that goes on with a run, or by sweep.resume with a sweep.

    Args:
        arguments: what it needs besides; none is quoted for the shell yet.
    """
    return " ".join([command("scalian-train"), word(key, folder), *map(shlex.quote, arguments)])


def shown(path: Path) -> str:
    """A path as one would type it here."""
    return relative(path.resolve())


def relative(path: Path) -> str:
    """The path from here, if it lies below; never one that a shell or a program takes for something else."""
    if not path.is_relative_to(Path.cwd()):
        return str(path)
    inside = str(path.relative_to(Path.cwd()))
    return f"./{inside}" if inside.startswith(("~", "-")) else inside


def program(name: str) -> str:
    """A program of this installation as one would type it here: its path, where the shell wouldn't find it."""
    beside = Path(sys.executable).with_name(name)
    return name if shutil.which(name) or not beside.exists() else relative(beside)


def standalone_overrides(overrides: Sequence[str], callbacks: str) -> list[str]:
    """The overrides that run one job of a sweep on its own.

    An experiment or a sweep file may ask for many jobs, and only trials can be pruned.
    """
    many = any(word.startswith(("sweep=", "experiment=")) for word in overrides)
    return [
        *(word for word in overrides if word != "callbacks=pruning"),
        *(["hydra.mode=RUN"] if many else []),
        *(["callbacks=default"] if callbacks == "pruning" else []),
    ]


def overrides_of_run(run: Path) -> list[str]:
    """The overrides that reproduce a run on its own."""
    overrides, said = read_overrides(run), read_hydra(run)
    if said is None or said["mode"] != "MULTIRUN":
        return overrides
    return standalone_overrides(overrides, said["runtime"]["choices"]["callbacks"])

"""Format commands and paths for printing, so that each can be pasted into a shell."""

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from scalian_exp.folders import CONFIG, begun_in_python
from scalian_exp.stored import read_hydra, read_overrides
from scalian_exp.vocabulary.grammar import literal


def word(key: str, value: str | Path) -> str:
    """Return `key=value` quoted for the shell and for Hydra; a path is shown relative to the current folder."""
    return shlex.quote(f"{key}={literal(shown(value) if isinstance(value, Path) else value)}")


def command(name: str, *arguments: str) -> str:
    """Return a command that can be pasted into a shell.

    Args:
        name: a program of this installation.
        arguments: as the program should receive them, not yet quoted for the shell.
    """
    return shlex.join([program(name), *arguments])


def command_to_resume(folder: Path, key: str = "resume", arguments: Sequence[str] = ()) -> str:
    """Return the command that resumes a run, or with sweep.resume a sweep.

    Args:
        folder: of the run or sweep.
        key: resume or sweep.resume.
        arguments: further arguments, not yet quoted for the shell.
    """
    return " ".join([command("scalian-train"), word(key, folder), *map(shlex.quote, arguments)])


def shown(path: Path) -> str:
    """Return a path as you would type it in the current folder."""
    return relative(path.resolve())


def relative(path: Path) -> str:
    """Return a path relative to the current folder if it is inside, in a form that no shell or program misreads."""
    if not path.is_relative_to(Path.cwd()):
        return str(path)
    inside = str(path.relative_to(Path.cwd()))
    return f"./{inside}" if inside.startswith(("~", "-")) else inside


def program(name: str) -> str:
    """Return the name of a program of this installation, or its path if the shell wouldn't find it."""
    beside = Path(sys.executable).with_name(name)
    return name if shutil.which(name) or not beside.exists() else relative(beside)


def standalone_overrides(overrides: Sequence[str], choices: Mapping[str, str]) -> list[str]:
    """Return the overrides that run one job of a sweep on its own.

    An experiment or a sweep file may ask for many jobs, and only the trials of a search can be pruned.

    Args:
        overrides: the job's overrides.
        choices: config group → chosen option, without those of which a list was chosen.
    """
    many = any(override.startswith(("sweep=", "experiment=")) for override in overrides)
    given = [override.partition("=")[2] for override in overrides if is_of_callbacks(override)]
    listed = [name.strip() for name in given[-1].strip("[]").split(",")] if given else []
    chosen = [choices["callbacks"]] if "callbacks" in choices else listed
    others = [name for name in chosen if name != "pruning"] or ["default"]
    pruned = "pruning" in chosen
    return [
        *(override for override in overrides if not (pruned and is_of_callbacks(override))),
        *(["hydra.mode=RUN"] if many else []),
        *([f"callbacks={others[0] if len(others) == 1 else '[' + ','.join(others) + ']'}"] if pruned else []),
    ]


def is_of_callbacks(override: str) -> bool:
    """Return whether an override chooses options of the group `callbacks`."""
    return override.startswith("callbacks=")


def command_to_repeat(run: Path) -> str:
    """Return the command that trains a run again on its own, in a new folder."""
    if begun_in_python(run):
        texts = (shown(run / CONFIG), f"{shown(run)}_again")
        config, again = (json.dumps(text, ensure_ascii=False) for text in texts)  # in double quotes, better in a shell
        code = f"import scalian_exp, yaml; scalian_exp.train(yaml.safe_load(open({config})), {again})"
        return command("python", "-c", code)
    return command("scalian-train", *overrides_of_run(run))


def overrides_of_run(run: Path) -> list[str]:
    """Return the overrides that train a run, begun on the command line, again on its own."""
    overrides, record = read_overrides(run), read_hydra(run)
    if record is None or record["mode"] != "MULTIRUN":
        return overrides
    return standalone_overrides(overrides, record["runtime"]["choices"])

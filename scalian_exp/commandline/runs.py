"""Which run a command line means: a run folder, the newest run of a folder of runs, or `latest`. No torch."""

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from scalian_exp.commandline.shell import command, shown, word
from scalian_exp.files import failures_refused
from scalian_exp.folders import CONFIG, MULTIRUN, can_resume, checkpoint, checkpoint_file
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.grammar import expand_home, literal

LATEST = "latest"
"""stands for the newest run below OUTPUTS, unless a file or folder has this name"""
OUTPUTS = Path("outputs")
"""where runs are written by default"""
NEAR = 3
"""number of runs that are named in place of one that doesn't exist"""
DEEPEST = 4
"""number of levels below a folder at which runs are looked for: ./outputs/multirun/<sweep>/<job>"""


def runs_below(folder: Path, mark: str = CONFIG) -> list[Path]:
    """Return all run folders below a folder, the one that was begun or resumed last first; hidden folders don't count.

    Args:
        folder: where to look.
        mark: the file that makes a folder one of those looked for, such as multirun.yaml for sweeps.
    """
    times: dict[Path, float] = {}
    for place, inside, files in os.walk(folder):
        if mark in files:
            times[Path(place)] = (Path(place) / mark).stat().st_mtime
        deeper = mark not in files and len(Path(place).relative_to(folder).parts) < DEEPEST
        inside[:] = [name for name in inside if deeper and not name.startswith(".")]
    return sorted(times, key=lambda run: (times[run], run), reverse=True)


def trained(run: Path) -> bool:
    """Return whether a run has a checkpoint that can be loaded."""
    return checkpoint(run, "best", "last") is not None


def run_meant(key: str, text: str, usable: Callable[[Path], bool] = trained) -> Path:
    """Return the run folder or checkpoint that `key=text` means, and print which one if it was found by its age.

    Args:
        key: run, init_from or resume; named in what is printed.
        text: a run folder, a checkpoint, a folder of runs, or `latest`.
        usable: whether a run of a folder of runs can be taken; others are passed over.

    Returns:
        The path itself if it is no folder of runs.

    Raises:
        Refusal: if there is no run below outputs/ for `latest`.
    """
    latest = means_latest(text)
    path = OUTPUTS if latest else Path(text)
    with failures_refused():
        if not latest and (not path.is_dir() or (path / CONFIG).is_file() or checkpoint(path, "best", "last")):
            return path
        runs = [run for run in runs_below(path) if usable(run)]
    if runs:
        print(f"{key:<12} {shown(runs[0])}, the newest of {len(runs)} below {shown(path)}")
        return runs[0]
    if latest:
        raise Refusal(f"{key}={LATEST}: {nothing_below_outputs()}")
    return path


def close_runs(path: Path) -> list[Path]:
    """Return the runs whose paths are most like one that doesn't exist, those of the same name elsewhere included."""
    around = next((folder for folder in path.absolute().parents if folder.is_dir()), Path.cwd())
    places = [folder for folder in (around, OUTPUTS.absolute()) if folder.is_dir() and folder != folder.parent]
    texts = {shown(run): run for folder in places for run in runs_below(folder) if trained(run)}
    wanted = shown(path)
    alike = get_close_matches(wanted, texts, n=NEAR, cutoff=0.6)
    same = [text for text, run in texts.items() if run.name == path.name]
    beside = [text for text, run in texts.items() if run.parent == path.absolute().parent]
    return [texts[text] for text in dict.fromkeys([*same, *alike, *beside])][:NEAR]


def neighbours(key: str, path: Path) -> str:
    """Advise of the runs that a path which doesn't exist may mean, for the end of a sentence; empty if there is none.

    Args:
        key: by which a command line names the run.
        path: what it names.
    """
    if path.is_symlink() or path.exists() or not (near := close_runs(path)):
        return ""
    return f" Did you mean {' or '.join(word(key, run) for run in near)}?"


def check_weights(key: str, path: Path) -> None:
    """Check that a path leads to a checkpoint.

    Raises:
        Refusal: if it doesn't; it names runs that may be meant.
    """
    try:
        checkpoint_file(path)
    except Refusal as refusal:
        raise Refusal(f"{refusal}{neighbours(key, path)}") from refusal


def means_latest(text: str) -> bool:
    """Return whether a text means the newest run, rather than a file or folder of this name."""
    return text == LATEST and not Path(text).exists()


def nothing_below_outputs() -> str:
    """Explain that there is no run to use, and how to train one."""
    return (
        f"there is no trained run below {OUTPUTS}/ here; train one ({command('scalian-train', 'model=vae')}), or give "
        "the folder of one that lies elsewhere."
    )


def newest_sweep() -> Path:
    """Return the folder of the newest sweep below outputs/, and print which one it is.

    Raises:
        Refusal: if there is none.
    """
    if not (sweeps := runs_below(OUTPUTS, MULTIRUN)):
        raise Refusal(f"sweep.resume={LATEST}: there is no sweep below {OUTPUTS}/ here; give the folder of one.")
    print(f"sweep        {shown(sweeps[0])}, the newest of {len(sweeps)}")
    return sweeps[0]


def with_newest(arguments: list[str]) -> list[str]:
    """Return scalian-train's arguments with paths in place of what refers to the newest run or sweep.

    `resume=latest`, `sweep.resume=latest`, and `init_from=` with `latest` or a folder of runs. The paths are inserted
    before anything starts, so that each job of a sweep starts from the same run.

    Raises:
        Refusal: if there is no such run.
    """
    result = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        name = key.lstrip("+")
        run = None
        if name == "init_from":
            run = run_meant(name, expand_home(value))
        elif name == "resume" and means_latest(value):
            run = run_meant(name, value, can_resume)
        elif name == "sweep.resume" and means_latest(value):
            run = newest_sweep()
        found = run is not None and run != Path(expand_home(value))
        result.append(f"{key}={literal(str(run))}" if found else argument)
    return result

"""Show runs in TensorBoard: with short names, what was swept first in HPARAMS, curves of the validation first."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from urllib.parse import quote

from scalian_exp.commandline.runs import runs_below
from scalian_exp.files import read_yaml
from scalian_exp.folders import CONFIG, CURVES
from scalian_exp.refusal import Refusal
from scalian_exp.results.hparams import differing, listing, metrics_in, swept_in
from scalian_exp.results.rows import read_job

EVENTS = "tensorboard"
"""folder of a run with its event files"""
SPLITS = ("val", "test", "train", "step")
"""groups of curves in their order"""
REFRESH = 15
"""seconds between looks for new runs"""
TIME = re.compile(r"\d{4}-(\d\d-\d\d_\d\d-\d\d)-\d\d-\d{6}")
"""name of a folder that a run or a sweep gets by default"""


def dashboard(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Run TensorBoard until it is stopped; runs that begin meanwhile are added.

    Args:
        paths: run folders, or folders with runs at any depth.
        options: of TensorBoard, such as `--port`.

    Raises:
        Refusal: if there are no runs with event files.
    """
    runs = runs_at(paths)
    if not runs:
        raise Refusal(
            f"There is no run with {EVENTS}/ below {' or '.join(map(str, paths))}: train one with logger=default."
        )
    with TemporaryDirectory(prefix="dashboard_") as folder:
        place = Path(folder)
        link(runs, place)
        describe(list(runs.values()), place)
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--load_fast=false", *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            Thread(target=tell, args=(server, pinned(list(runs.values()))), daemon=True).start()
            try:
                while server.poll() is None:
                    try:
                        server.wait(REFRESH)
                    except subprocess.TimeoutExpired:
                        link(runs_at(paths), place)
            finally:
                server.terminate()


def runs_at(paths: Sequence[Path]) -> dict[str, Path]:
    """Map a short name of each run with event files at or below these folders to its folder."""
    found = {run.resolve(): path for path in paths for run in sorted(runs_below(path)) if (run / EVENTS).is_dir()}
    whole = {run: name_below(run, path, len(paths) > 1) for run, path in found.items()}
    brief = {run: TIME.sub(r"\1", name).removeprefix("multirun/") for run, name in whole.items()}
    names = [*brief.values()]
    return {name if names.count(name) == 1 else whole[run]: run for run, name in brief.items()}


def name_below(run: Path, path: Path, several: bool) -> str:
    """Return a run's path below a folder, which is named too if there are several."""
    folder = path.resolve()
    inside = str(run.relative_to(folder))
    return folder.name if inside == "." else f"{folder.name}/{inside}" if several else inside


def link(runs: dict[str, Path], place: Path) -> None:
    """Make a link of its name to each run's event files, unless there is one."""
    for name, run in runs.items():
        if not (target := place / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(run / EVENTS, target_is_directory=True)


def describe(runs: Sequence[Path], place: Path) -> None:
    """Write what the tabs HPARAMS and CUSTOM SCALARS show."""
    from torch.utils.tensorboard import SummaryWriter

    jobs = [read_job(run) for run in runs]
    values = differing([read_yaml(run / CONFIG) for run in runs])
    with SummaryWriter(str(place)) as writer:
        if values:
            writer.file_writer.add_summary(listing(values, swept_in(jobs), metrics_in(jobs)))
        writer.add_custom_scalars(layout(runs))


def layout(runs: Sequence[Path]) -> dict[str, dict[str, list[object]]]:
    """Return a chart for each curve of the runs, by split: validation first, and monitored metrics first in it."""
    names = {name for run in runs for name in header(run) if "/" in name}
    monitored = set(metrics_in([{"folder": run} for run in runs]))
    charts: dict[str, dict[str, list[object]]] = {}
    for split in SPLITS:
        for name in sorted(names, key=lambda name: (name not in monitored, name.count("/"), name)):
            if name.startswith(f"{split}/"):
                charts.setdefault(split, {})[name] = ["Multiline", [f"^{re.escape(name)}$"]]
    return charts


def header(run: Path) -> list[str]:
    """Return the names of a run's curves; none without a CSV file."""
    file = run / CURVES
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return next(csv.reader(stream), [])


def pinned(runs: Sequence[Path]) -> str:
    """Return the end of an address at which TensorBoard shows the monitored curves above all others."""
    cards = [
        {"plugin": "scalars", "tag": name}
        for name in metrics_in([{"folder": run} for run in runs])
        if name[:4] == "val/"
    ]
    return f"?pinnedCards={quote(json.dumps(cards, separators=(',', ':')))}#timeseries"


def tell(server: "subprocess.Popen[str]", end: str) -> None:
    """Print what TensorBoard says, and the address to open as soon as it tells its own."""
    for line in server.stderr or ():
        if found := re.search(r"at (http://\S+/)", line):
            print(f"dashboard    {found[1]}{end}", flush=True)
        elif "NOTE" not in line and "--bind_all" not in line:
            print(line, end="", file=sys.stderr)

"""Compare runs: `scalian-report SWEEP`, or several run folders, writes one HTML page about them.

`scalian-report dashboard FOLDER` shows all runs below a folder in TensorBoard, whose options may follow.
`scalian-report likelihoods RUN RUN` prints how probable each model finds the test images.
"""

import scalian_exp.commandline.starting  # noqa: F401 (first: Ctrl-C ends quietly during the other imports)

# isort: split
import argparse
import sys
from pathlib import Path

from scalian_exp.commandline import app
from scalian_exp.folders import PAGE
from scalian_exp.refusal import Refusal

LIKELIHOODS, DASHBOARD = "likelihoods", "dashboard"


def report(names: list[str], out: str | None) -> None:
    """Write the page about the runs in these folders, or print likelihoods if that is the first name."""
    if names[0] == LIKELIHOODS:
        from scalian_exp.results.likelihoods import print_likelihoods
        from scalian_exp.results.page import runs_in

        print_likelihoods(runs_in(map(Path, names[1:])))
        return
    from scalian_exp.commandline.shell import shown
    from scalian_exp.files import write_text
    from scalian_exp.results.page import page, runs_in

    paths = [Path(name) for name in names]
    file = Path(out) if out else (paths[0] if len(paths) == 1 else Path()) / PAGE
    if file.is_file() and not file.read_bytes().lower().startswith(b"<!doctype html"):
        raise Refusal(f"{file} exists already and isn't a page, so it would be lost; choose another path for --out.")
    title = paths[0].resolve().name if len(paths) == 1 else f"{paths[0].name} and others"
    write_text(file, page(runs_in(paths), title))
    print(f"page      {shown(file)}")


def show_dashboard(arguments: list[str]) -> None:
    """Show runs in TensorBoard.

    Args:
        arguments: folders of runs, by default that of all runs, then options of TensorBoard.
    """
    from scalian_exp.commandline.runs import OUTPUTS
    from scalian_exp.results.dashboard import dashboard

    count = next((number for number, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    dashboard([Path(name) for name in arguments[:count]] or [OUTPUTS], arguments[count:])


def main() -> None:
    """Run the command `scalian-report`."""
    if sys.argv[1:2] == [DASHBOARD] and sys.argv[2:] not in (["-h"], ["--help"]):
        app.with_sentences(lambda: show_dashboard(sys.argv[2:]))
        return
    parser = argparse.ArgumentParser("scalian-report", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", help=f"a sweep's folder or run folders; or {LIKELIHOODS} or {DASHBOARD} and folders"
    )
    parser.add_argument(
        "--out", help="file to write; by default report.html in the folder, or here for several folders"
    )
    arguments = parser.parse_args()
    if arguments.runs == [LIKELIHOODS]:
        parser.error("likelihoods of which runs? Name their folders.")
    app.with_sentences(lambda: report(arguments.runs, arguments.out))


if __name__ == "__main__":
    main()

"""Compare runs: `scalian-report <sweep or runs…>` makes one HTML page of them, `scalian-report likelihoods <runs…>`
prints how probable each model finds the test images."""

import argparse
from pathlib import Path

from scalian_exp.commandline import app
from scalian_exp.folders import PAGE

LIKELIHOODS = "likelihoods"


def report(said: list[str], out: str | None) -> None:
    """What the command does, once its words are known."""
    if said[0] == LIKELIHOODS:
        from scalian_exp.results.likelihoods import print_likelihoods
        from scalian_exp.results.page import runs_in

        print_likelihoods(runs_in(map(Path, said[1:])))
        return
    from scalian_exp.commandline.shell import shown
    from scalian_exp.files import write_text
    from scalian_exp.results.page import page, runs_in

    paths = [Path(path) for path in said]
    file = Path(out) if out else (paths[0] if len(paths) == 1 else Path()) / PAGE
    title = paths[0].resolve().name if len(paths) == 1 else f"{paths[0].name} and others"
    write_text(file, page(runs_in(paths), title))
    print(f"page      {shown(file)}")


def main() -> None:
    """The command `scalian-report`."""
    parser = argparse.ArgumentParser("scalian-report", description=__doc__)
    parser.add_argument("runs", nargs="+", help=f"a sweep's folder or run folders; or {LIKELIHOODS} and run folders")
    parser.add_argument("--out", help="the page's file; report.html in the folder by default, of several in this one")
    arguments = parser.parse_args()
    if arguments.runs == [LIKELIHOODS]:
        parser.error("likelihoods of which runs? Name their folders.")
    app.with_sentences(lambda: report(arguments.runs, arguments.out))


if __name__ == "__main__":
    main()

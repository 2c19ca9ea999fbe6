"""Compare runs:  scalian-report likelihoods outputs/vae outputs/pixelcnn …"""

import argparse
from pathlib import Path

from scalian_exp import app


def likelihoods(runs: list[str]) -> None:
    """The table of `scalian-report likelihoods`."""
    from scalian_exp.likelihoods import print_likelihoods

    print_likelihoods([Path(run) for run in runs])


def main() -> None:
    """The command `scalian-report`."""
    parser = argparse.ArgumentParser("scalian-report", description="Compare runs.")
    commands = parser.add_subparsers(dest="command", required=True)
    said = commands.add_parser(
        "likelihoods", help="−log p(x) of the same test images by each model, bounds marked as such"
    )
    said.add_argument("runs", nargs="+", help="run folders")
    arguments = parser.parse_args()
    app.with_sentences(lambda: likelihoods(arguments.runs))


if __name__ == "__main__":
    main()

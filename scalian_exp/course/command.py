"""Train the course's small runs on this machine, and build its page: `scalian-course`, or `make course`.

What is finished is kept, and an interrupted course goes on where it stopped.
"""

import scalian_exp.commandline.starting  # noqa: F401 (first: Ctrl-C ends quietly during the other imports)

# isort: split
import signal
import sys
import time
from pathlib import Path

from scalian_exp.commandline import app
from scalian_exp.commandline.shell import shown
from scalian_exp.course.changed import set_aside
from scalian_exp.course.chapter import chapters
from scalian_exp.course.experiments import experiments
from scalian_exp.course.training import RUNS, Queue, application, training
from scalian_exp.files import write_text
from scalian_exp.refusal import Refusal
from scalian_exp.run import locks

OPTIONS = {
    "language": "fr or en, in which the page opens; by default the browser's",
    "dataset": "of the images: mnist or sample (Fashion-MNIST, in the package); by default mnist if it is below root",
    "root": "folder of the data sets; data by default",
    "outputs": "folder of the runs and of the page; outputs/course by default",
}
PAGE = "index.html"
HELP = "\n".join(
    ["scalian-course: train the course's small runs, and build its page.", ""]
    + [f"  {name + '=…':<12} {meaning}" for name, meaning in OPTIONS.items()]
)


def course(
    language: str | None = None, dataset: str | None = None, root: str = "data", outputs: str = "outputs/course"
) -> None:
    """Train what isn't trained yet, and write the page, while no other process does so in the same folder.

    Raises:
        Refusal: if an option can't be used, no chapter can be built, or another process works in the folder.
        SystemExit: after Ctrl-C, once the running trainings have saved where they are.
    """
    if language not in (None, "fr", "en"):
        raise Refusal(f"language={language}: choose fr or en, or leave it out for the reader's own.")
    with locks.held(Path(outputs)):
        train_and_build(language, dataset, Path(root), Path(outputs))


def train_and_build(language: str | None, dataset: str | None, root: Path, folder: Path) -> None:
    """Train what isn't trained yet in a folder, and write the page there.

    Raises:
        Refusal: as `course`.
        SystemExit: likewise.
    """
    contents = chapters()
    runs = list(dict.fromkeys(run for chapter in contents for run in chapter.runs))
    chosen = experiments(runs, dataset, root)
    needed = {run for each in chosen.values() for run in each.needs} - chosen.keys()
    chosen |= experiments(sorted(needed), dataset, root)
    set_aside(chosen, folder)
    jobs = [training(run, each, folder) for run, each in chosen.items()]
    jobs += [
        application(run, action, folder)
        for run, action in dict.fromkeys(
            (run, action) for chapter in contents for run, actions in chapter.results.items() for action in actions
        )
    ]
    began = time.time()
    try:
        failed = Queue(folder).run(jobs)
    except KeyboardInterrupt:
        print("Interrupted; the trainings have been saved, and the same command goes on with them.", file=sys.stderr)
        sys.exit(130)
    for name, why in failed.items():
        print(f"{name} failed: {why}")
    print("Building the page …", flush=True)
    from scalian_exp.course.build import Course

    html, left_out = Course(folder / RUNS).html(contents, language)
    for name, why in left_out.items():
        print(f"Left out: chapter {name}. {why}")
    write_text(folder / PAGE, html)
    size, minutes = len(html.encode()) / 1e6, (time.time() - began) / 60
    print(f"page      {shown(folder / PAGE)}: {size:.1f} MB, after {minutes:.0f} min. Open it in a browser.")
    if failed or left_out:
        raise Refusal(
            f"{len(failed)} of {len(jobs)} trainings and measurements failed, and {len(left_out)} chapters are left "
            "out; the same command tries again."
        )


def options(arguments: list[str]) -> dict[str, str]:
    """Read options from a command line.

    Raises:
        Refusal: if one is unknown.
    """
    result = {}
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if key not in OPTIONS or not equals or not value:
            raise Refusal(
                f"{argument} is no option of scalian-course; choose among {', '.join(f'{name}=…' for name in OPTIONS)}."
            )
        result[key] = value
    return result


def main() -> None:
    """Run the command `scalian-course`."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP)
        return
    for name in ("SIGTERM", "SIGHUP"):  # end as Ctrl-C does: the trainings save first
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    app.with_sentences(lambda: course(**options(sys.argv[1:])))


if __name__ == "__main__":
    main()

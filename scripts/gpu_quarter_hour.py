"""Spend a quarter of an hour of a GPU on what matters most, and keep the figures in one small folder.

    python scripts/gpu_quarter_hour.py FOLDER
    python scripts/gpu_quarter_hour.py FOLDER --rehearse

First the tests that need a GPU; then milliseconds per training step, one program after another, as in docs/scaling.md;
then four trainings side by side, which share the GPU: camvid_unet, camvid_tiramisu56, draw_mnist and pixelrnn_mnist,
whose data are downloaded if they are missing. Each is timed for a few steps beside the others, then trained for as many
epochs as fit, so that its schedule ends in time. What takes longer than its share of the time is stopped, and the table
says so. FOLDER gets results.json and table.md, which are rewritten after every result, and log.txt; the runs themselves
are beside it, in FOLDER_runs. Arguments with a `=` go to every training, such as dataset.root=FOLDER. The rehearsal
does the same on a CPU, on tiny synthetic data.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

SHARES = {"tests": 0.2, "steps": 0.2, "probe": 0.1, "trainings": 0.45}
"""part → share of the minutes; what remains is spare"""
FIT = 0.75
"""share of a training's time that its epochs may fill by the probe; start and test need the rest"""
STEPS = 12
"""steps of an epoch that is timed"""
VALIDATIONS = 10
"""about how often a training is validated: after each epoch would take time that its probe doesn't see"""
TIMED = [f"trainer.limit_train_batches={STEPS}", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]
TIMED += ["trainer.max_epochs=3", "callbacks=minimal", "logger=none"]
FRAMES = ["dataset=fake_masks", "dataset.image_size=[360,480]", "dataset.num_classes=11", "dataset.train_size=48"]
DIGITS = ["dataset=fake_binary", "dataset.image_size=[28,28]", "dataset.train_size=2000", "dataset.val_size=100"]
SMALL_FRAMES = [
    *FRAMES,
    "dataset.image_size=[64,64]",
    "dataset.train_size=16",
    "dataset.augmentation.crop.size=[64,64]",
]
SMALL_DIGITS = ["dataset=fake_binary", "dataset.train_size=200", "dataset.val_size=20"]
GPU = ["trainer/accelerator=gpu"]
GRAPHS = ["cuda_graphs=true"]
HALF = ["trainer.precision=bf16-mixed", "channels_last=true", *GRAPHS]


class Job(NamedTuple):
    """A training, and what it becomes elsewhere."""

    overrides: list[str]
    options: list[str]
    """what suits a GPU"""
    made: list[str]
    """synthetic data of the same size, for timing"""
    tiny: list[str]
    """what makes it tiny, for a rehearsal"""
    examples: int
    """number of its training examples"""


UNET = Job(["experiment=camvid_unet"], HALF, FRAMES, [*SMALL_FRAMES, "model.network.width=0.0625"], 367)
TIRAMISU = Job(["experiment=camvid_tiramisu56"], HALF, FRAMES, [*SMALL_FRAMES, "model.network.growth=2"], 367)
DRAW = Job(["experiment=draw_mnist"], GRAPHS, DIGITS, [*SMALL_DIGITS, "model.network.glimpses=2"], 50_000)
PIXELS = Job(["experiment=pixelrnn_mnist"], GRAPHS, DIGITS, [*SMALL_DIGITS, "model.network.depth=1"], 58_000)
VAE = Job(["model=vae"], [], DIGITS, SMALL_DIGITS, 2000)
MANY = ["trainer.limit_train_batches=200", "dataset.train_size=25600"]
"""where an epoch's start would take longer than a few steps"""
TO_TIME = {
    "draw_mnist, 128 images, recorded": (DRAW, []),
    "draw_mnist, 128 images, launched one by one": (DRAW, ["cuda_graphs=false"]),
    "pixelrnn_mnist, 16 images, recorded": (PIXELS, []),
    "pixelrnn_mnist, 128 images, recorded": (PIXELS, ["dataset.batch_size=128"]),
    "camvid_unet, 4 crops, bf16, recorded": (UNET, []),
    "camvid_unet, 4 crops, single precision, recorded": (UNET, ["trainer.precision=32-true"]),
    "camvid_tiramisu56, 3 crops, bf16, recorded": (TIRAMISU, []),
    "vae": (VAE, MANY),
    "vae, Lightning's own loop": (VAE, [*MANY, "trainer.lean=false"]),
}
TO_TRAIN = {
    "camvid_unet": (UNET, []),
    "camvid_tiramisu56": (TIRAMISU, []),
    "draw_mnist": (DRAW, ["model.importance_samples=20"]),
    "pixelrnn_mnist": (PIXELS, ["dataset.batch_size=64", "model.optimizer.lr=2e-3"]),
}


class Folder:
    """The folder of the results, where every figure is written as soon as it is known."""

    def __init__(self, path: Path):
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.rows = path, dict[str, dict[str, Any]]()
        self.log = (path / "log.txt").open("a", encoding="utf-8")

    def keep(self, what: str, **figures: Any) -> None:
        """Store and print what is known of something."""
        self.rows[what] = figures
        (self.path / "results.json").write_text(json.dumps(self.rows, indent=2), encoding="utf-8")
        lines = [f"| {what} | {told(figures)} |" for what, figures in self.rows.items()]
        (self.path / "table.md").write_text(
            "\n".join(["| what | figures |", "|---|---|", *lines, ""]), encoding="utf-8"
        )
        print(f"{what}: {told(figures)}", flush=True)


def told(figures: dict[str, Any]) -> str:
    """Return figures in one line."""
    return ", ".join(
        f"{name} {each:.5g}" if isinstance(each, float) else f"{name} {each}" for name, each in figures.items()
    )


class Process:
    """A program, which is asked to stop, and then ended, when its time is up."""

    def __init__(self, arguments: Sequence[str], log: Any):
        print(f"\n$ python {' '.join(arguments)}", file=log, flush=True)
        self.process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log)

    def wait(self, until: float) -> str:
        """Wait until a time of the monotonic clock, and return how the program ended."""
        for stop, seconds in ((None, until - time.monotonic()), (signal.SIGINT, 15), (signal.SIGKILL, 15)):
            if stop is not None:
                self.process.send_signal(stop)
            try:
                code = self.process.wait(max(seconds, 0.1))
            except subprocess.TimeoutExpired:
                continue
            return "stopped: its time was up" if stop is not None else "" if code == 0 else f"failed with {code}"
        return "could not be stopped"


class QuarterHour:
    """The three parts."""

    def __init__(self, folder: Folder, runs: Path, minutes: float, rehearse: bool, overrides: Sequence[str]):
        self.folder, self.runs, self.seconds = folder, runs, 60 * minutes
        self.rehearse, self.overrides = rehearse, overrides

    def end_of(self, part: str) -> float:
        """Return when a part that begins now ends."""
        return time.monotonic() + SHARES[part] * self.seconds

    def train(self, run: str, job: Job, more: Sequence[str], made: bool) -> Process:
        """Start a training."""
        data = job.made if made and not self.rehearse else []
        given = [*job.overrides, *data, *GPU, *job.options, *more]
        if self.rehearse:
            kept = [each for each in more if each not in job.options and not each.startswith("trainer.precision")]
            given = [*job.overrides, *kept, *job.tiny, "trainer/accelerator=cpu"]
        path = f"hydra.run.dir={self.runs / run}"
        return Process(["-m", "scalian_exp.train", *given, *self.overrides, path], self.folder.log)

    def metrics(self, run: str) -> dict[str, float]:
        """Return the metrics of a run; none if it has not come to its end."""
        file = self.runs / run / "metrics.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def test(self) -> None:
        """Run the tests that need a GPU."""
        tests = ["tests/programs/test_gpu.py", "-q", "-m", "", "--numprocesses", "auto", "--maxprocesses", "6"]
        begin = time.monotonic()
        problem = Process(["-m", "pytest", *tests], self.folder.log).wait(self.end_of("tests"))
        self.folder.keep("tests", ended=problem or "passed", seconds=time.monotonic() - begin)

    def time_steps(self) -> None:
        """Time training steps, one program after another."""
        end = self.end_of("steps")
        for number, (name, (job, more)) in enumerate(TO_TIME.items()):
            if time.monotonic() > end:
                self.folder.keep(f"step of {name}", ended="not begun: the time was up")
                continue
            problem = self.train(f"step_{number}", job, [*TIMED, *more], made=True).wait(end)
            metrics = self.metrics(f"step_{number}")
            figures: dict[str, Any] = {"ended": problem or "without its time"}
            if seconds := metrics.get("seconds_per_epoch"):
                figures = {"ms": 1000 * seconds * metrics["epochs"] / metrics["steps"]}
            self.folder.keep(f"step of {name}", **figures)

    def train_all(self) -> None:
        """Train side by side, for as many epochs as fit."""
        end = self.end_of("probe")
        probes = {
            name: self.train(f"probe_{name}", job, [*more, *TIMED], made=False)
            for name, (job, more) in TO_TRAIN.items()
        }
        problems = {name: probe.wait(end) for name, probe in probes.items()}
        end, trainings = self.end_of("trainings"), {}
        for name, (job, more) in TO_TRAIN.items():
            per_second = self.metrics(f"probe_{name}").get("samples_per_second")
            if not per_second:
                self.folder.keep(name, ended=f"not trained: its probe {problems[name] or 'gave no time'}")
                continue
            epochs = max(1, int(FIT * SHARES["trainings"] * self.seconds * per_second / job.examples))
            every = max(1, epochs // VALIDATIONS)
            epochs -= epochs % every  # the last one is validated
            length = [f"trainer.max_epochs={epochs}", f"trainer.check_val_every_n_epoch={every}"]
            trainings[name] = self.train(name, job, [*more, *length], made=False), epochs
        for name, (training, epochs) in trainings.items():
            problem = training.wait(end)
            scores = {key: value for key, value in self.metrics(name).items() if key.count("/") == 1}
            split = "test/" if any(key.startswith("test/") for key in scores) else "val/"  # of one that was stopped
            scores = {key: value for key, value in scores.items() if key.startswith(split)}
            self.folder.keep(name, epochs=epochs, **({"ended": problem} if problem else {}), **scores)


def main() -> None:
    """Run the three parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the results")
    parser.add_argument("overrides", nargs="*", help="overrides of all trainings, as dataset.root=FOLDER")
    parser.add_argument("--minutes", type=float, default=12, help="minutes in all (12)")
    parser.add_argument("--rehearse", action="store_true", help="the same with tiny sizes on a CPU")
    given = parser.parse_args()
    runs = given.folder.with_name(f"{given.folder.name}_runs")
    if runs.exists():
        parser.error(
            f"{runs} has the runs of an earlier time, whose figures would be taken for new ones; choose another folder"
        )
    session = QuarterHour(Folder(given.folder), runs, given.minutes, given.rehearse, given.overrides)
    session.test()
    session.time_steps()
    session.train_all()


if __name__ == "__main__":
    main()

"""Train a network: `scalian-train model=vae dataset=mnist loss.beta=4`; `scalian-train --help` lists the words.

compose (Hydra) → check → build → fit → test → report. A job is one function of its resolved config and its run folder:
called again on the same folder, it goes on where it stopped.
"""

import logging
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from scalian_exp import app, folders, locks, processes
from scalian_exp.checks import check, find_data_at
from scalian_exp.datasets.download import one_at_a_time
from scalian_exp.files import failures_refused
from scalian_exp.job_folders import check_job_folder
from scalian_exp.resume import resumed
from scalian_exp.resume_sweep import KEY, resumed_sweep
from scalian_exp.sweeps import moved_data
from scalian_exp.training_length import check_lengths, remarks

log = logging.getLogger(__name__)


@failures_refused()
def train(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train what a resolved config describes; everything it leaves lies in the run folder.

    Returns:
        What metrics.json holds: all test metrics, and `best`, the monitored validation metric,
        where something was monitored.

    Raises:
        Refusal: if something in the config or the data can't work.
        SystemExit: after an interruption, with its checkpoint saved.
    """
    from pytorch_lightning import seed_everything

    from scalian_exp import report
    from scalian_exp.build import build, build_task
    from scalian_exp.checkpoint import check_progress, compute_as_trained, data_state_in, read
    from scalian_exp.gpus import devices_of
    from scalian_exp.init_from import check_classes_of, start_network_from
    from scalian_exp.network_size import check_batch, sketched
    from scalian_exp.runs import build_trainer, check_shares, ending_cleanly, told_plainly
    from scalian_exp.trust import modules

    report.quiet()
    trust = modules(config.get("trust"))
    config = {key: value for key, value in config.items() if key != "trust"}  # what a run keeps can't vouch for itself
    seed_everything(config["seed"], verbose=False)
    last = folders.checkpoint(folder, "last", "start")
    sketch = sketched(config) if last is None else None  # before data are downloaded and read
    data = build("dataset", config["dataset"])
    with one_at_a_time(config["dataset"].get("root")):
        data.prepare_data()
    data.setup("fit")  # broken data is refused before the run folder is claimed; Lightning's own call finds it done
    if sketch is not None:
        check_batch(config, data, sketch)
    task = build_task(config)
    task.check(data)
    check_shares(config["trainer"], data)
    check_lengths(config["trainer"], {name: -(-len(part) // data.batch_size) for name, part in data.splits.items()})
    for remark in remarks(config["trainer"]):
        log.info(remark)
    if last is not None:
        contents = read(last)
        check_progress(contents, last, config["trainer"])  # before anything is written
        if state := data_state_in(contents):
            data.load_state_dict(state)
        elif data.state_dict():
            log.info(
                "An earlier version began this run and didn't keep what its splits were: it goes on with today's splits"
            )
        compute_as_trained(task.network, contents)
    else:
        task.start_network()
        if config.get("init_from"):
            start_network_from(task.network, data, config["init_from"], trust)
            task.initialised = True
            if config["trainer"]["max_epochs"] == 0:
                check_classes_of(config["init_from"], data)
                log.info("trainer.max_epochs=0: nothing is trained, the weights of init_from are tested as they are")
    with devices_of(config["trainer"]) as devices:
        trainer: Any = build_trainer(config, task, folder, devices, trust)
        for callback in trainer.callbacks:
            if hasattr(callback, "check"):
                callback.check(task, data)
        metrics: dict[str, float] = {}
        with ending_cleanly(folder), told_plainly():
            if trainer.is_global_zero:
                folders.remove_parts(folder)
                report.describe(config, folder)
            trainer.fit(task, data, ckpt_path=last, weights_only=True)
            if config["test"]:
                best = folders.checkpoint(folder, "best", "last")
                metrics = dict(trainer.test(task, data, ckpt_path=best, weights_only=True, verbose=False)[0])
            return report.conclude(trainer, task, metrics, folder)


def job(config: DictConfig) -> float | None:
    """One job of Hydra's: its best monitored value, for sweepers that search; never a test metric."""
    from scalian_exp.stored import metrics_of

    check_job_folder()
    plain, folder = check(config), Path(HydraConfig.get().runtime.output_dir)
    if folders.state(folder) is folders.State.FINISHED:  # in a resumed sweep
        log.info("kept: %s has finished already", folder)
        return metrics_of(folder).get("best")
    if (root := moved_data()) is not None:
        find_data_at(plain["dataset"], root)
    return processes.train(plain, folder).get("best")


def go_on_with_run() -> None:
    config, folder = resumed(sys.argv[1:])
    locks.check_free(locks.real(folder).parent)  # it may be one of a sweep's jobs
    processes.train(config, folder)


def go_on_with_sweep() -> None:
    sys.argv[1:] = resumed_sweep(sys.argv[1:])
    app.run(job, "train")


def resumes(arguments: list[str]) -> bool:
    """Do they go on with a run?

    Raises:
        SystemExit: if they also ask for something else.
    """
    said = any(argument.startswith("resume=") and argument != "resume=null" for argument in arguments)
    flags = [argument for argument in arguments if argument.startswith("-")]
    if said and not {"-m", "--multirun"}.isdisjoint(flags):
        sys.exit("resume=… goes on with one run: leave -m out; a whole sweep goes on by sweep.resume=<its folder>.")
    if said and flags and {"-h", "--help"}.isdisjoint(flags):
        sys.exit(f"resume=… goes on with a run as it is: leave {flags[0]} out.")
    return said and not flags


def main() -> None:
    """The command `scalian-train`."""
    overrides = sys.argv[1:] = [app.as_list(argument) for argument in sys.argv[1:]]
    if not app.saying(overrides, "resume=", f"{KEY}=") or app.saying(overrides, "trust=", "hydra.searchpath="):
        app.find_own_modules()
    with locks.all_released():
        if resumes(sys.argv[1:]):
            app.with_sentences(go_on_with_run)
        elif any(said.startswith(f"{KEY}=") for said in sys.argv[1:]):
            app.with_sentences(go_on_with_sweep)
        else:
            app.run(job, "train")


if __name__ == "__main__":
    main()

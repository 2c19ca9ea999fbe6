"""Train one resolved config in this process: build → fit → test → record.

A job is a function of its config and its run folder: called again on the same folder, it continues where it stopped.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import seed_everything

from scalian_exp import folders
from scalian_exp.build import build, build_task
from scalian_exp.callbacks.protocols import ChecksBeforehand
from scalian_exp.checkpoint import check_progress, data_state_in, limits_reached, load_weights, read
from scalian_exp.datasets.decoded import DecodesOnce
from scalian_exp.datasets.download import one_at_a_time
from scalian_exp.files import failures_refused
from scalian_exp.run import record
from scalian_exp.run.batch_size import with_batch_size
from scalian_exp.run.devices import check_accelerator, devices_of
from scalian_exp.run.endings import device_failures_refused, ending_cleanly, weights_kept
from scalian_exp.run.following import followed
from scalian_exp.run.init_from import check_classes_of, start_network_from
from scalian_exp.run.memory_layout import with_layout
from scalian_exp.run.network_size import check_batch, sketched
from scalian_exp.run.objective import check_stopping
from scalian_exp.run.trainer import build_trainer, check_shares
from scalian_exp.tasks.data_protocols import check_data
from scalian_exp.tasks.greedy import LayerByLayer
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.starting import load_pretrained
from scalian_exp.trust import modules
from scalian_exp.vocabulary.natural_schedule import lengthened, remark_on_lengthening, with_lengths_of
from scalian_exp.vocabulary.training_length import (
    announced_steps,
    check_lengths,
    planned_steps,
    remarks,
    steps_per_epoch,
    stops_early,
)

log = logging.getLogger(__name__)


@failures_refused()
def train(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train and test the experiment of a resolved config, and write all results into the run folder.

    Returns:
        The contents of metrics.json: all test metrics and, if a validation metric is monitored, its `best` value.

    Raises:
        Refusal: if the config or the data can't work.
        SystemExit: after an interruption, once a checkpoint has been saved.
    """
    record.quiet()
    trust = modules(config.get("trust"))
    config = {key: value for key, value in config.items() if key != "trust"}  # a stored run can't vouch for itself
    seed_everything(config["seed"], verbose=False)
    last = folders.checkpoint(folder, "last", "start")
    check_accelerator(config["trainer"])
    if last is None:
        check_stopping(config)
    sketch = sketched(config) if last is None else None  # before data is downloaded and read
    data = build("dataset", config["dataset"])
    check_data(data, config["dataset"].get("provides", []))
    with one_at_a_time(config["dataset"].get("root")):
        data.prepare_data()
    data.setup("fit")  # refuses broken data before the run folder is claimed; Lightning's own call then does nothing
    contents = read(last) if last is not None else None
    stored = contents["scalian_exp"]["config"] if contents is not None else None
    # one device for the trials of batch sizes and for the training
    with devices_of(config["trainer"]) as devices, ending_cleanly(folder), device_failures_refused():
        config = with_batch_size(config, stored, data, sketch, devices, trust)
        if sketch is not None:
            check_batch(config, data, sketch)
        sizes = {name: -(-len(part) // data.batch_size) for name, part in data.splits.items()}
        config = lengthened(config, sizes["train"]) if stored is None else with_lengths_of(config, stored)
        task = build_task(config)
        task.check(data)
        check_shares(config["trainer"], data)
        check_lengths(config["trainer"], sizes)
        several = isinstance(task, LayerByLayer) and task.layers > 1
        steps = announced_steps(config["trainer"], sizes["train"], task.epochs_per_layer if several else None)
        for remark in remarks(config["trainer"], stops_early(config["callbacks"])):
            log.info(remark)
        if last is not None and contents is not None:
            resume(task, data, config, contents, last)
        else:
            begin(task, data, config, trust)
        config = with_layout(config, stored, task, data)
        trainer: Any = build_trainer(config, task, folder, devices, trust)
        for callback in trainer.callbacks:
            if offers(callback, ChecksBeforehand):
                callback.check(task, data)
        if steps and task.optimizer is not None:
            log.info(steps + remark_on_lengthening(config))
        if isinstance(data, DecodesOnce):
            splits = used_completely(trainer, config, sizes["train"])
            data.decode_ahead(splits, (trainer.global_rank, trainer.world_size))
        if trainer.is_global_zero:
            folders.remove_parts(folder)
            record.describe(config, folder)
        trainer.precision_plugin.convert_module(task)  # before its weights are loaded, which 32 bits may round
        metrics: dict[str, float] = {}
        with followed(trainer, config, folder):
            trainer.fit(task, data, ckpt_path=last, weights_only=True)
            if config["test"]:
                best = folders.checkpoint(folder, "best", "last")
                with weights_kept(folder):
                    metrics = dict(trainer.test(task, data, ckpt_path=best, weights_only=True, verbose=False)[0])
            return record.conclude(trainer, task, metrics, folder)


def resume(task: Any, data: Any, config: dict[str, Any], contents: dict[str, Any], last: Path) -> None:
    """Give a task the weights of the run's last checkpoint, if the training can go on from there on these data.

    Raises:
        Refusal: if it can't; nothing has been written then.
    """
    check_progress(contents, last, config["trainer"])
    folder = last.parent.parent
    limits = " and ".join(limits_reached(contents, config["trainer"]))
    if limits and folders.state(folder) is folders.State.FINISHED:
        log.info("nothing is left to train%s; to train longer, give a larger %s", tested(config), limits)
    if state := data_state_in(contents):
        data.load_state_dict(state)
    elif data.state_dict():
        log.info("An earlier version began this run without storing its splits: it continues with today's splits")
    load_weights(task, contents, last)


def begin(task: Any, data: Any, config: dict[str, Any], trust: Sequence[str]) -> None:
    """Give a task the weights that its training begins with, if they aren't random."""
    load_pretrained(task.network)
    if config.get("init_from"):
        start_network_from(task.network, data, config["init_from"], trust)
        task.initialised = True
        if config["trainer"]["max_epochs"] == 0:
            check_classes_of(config["init_from"], data)
            log.info("trainer.max_epochs=0: nothing is trained; the weights of init_from are tested as they are")


def tested(config: dict[str, Any]) -> str:
    """Return how a run without anything left to train goes on, for the middle of a sentence."""
    return ": the best checkpoint is tested again" if config["test"] else ""


def used_completely(trainer: Any, config: dict[str, Any], batches: int) -> list[str]:
    """Return the splits of which a training and its test use all batches, not only a few for a trial or to overfit.

    Args:
        trainer: Lightning's trainer, which knows what a trial leaves of each split.
        config: the resolved config.
        batches: number of batches of the training split.
    """
    steps = planned_steps(config["trainer"], batches)
    whole = steps is None or steps >= steps_per_epoch(config["trainer"], batches)
    limits = {"train": trainer.limit_train_batches if whole else 0, "val": trainer.limit_val_batches}
    limits |= {"test": trainer.limit_test_batches} if config["test"] else {}
    return [name for name, limit in limits.items() if repr(limit) == "1.0"]  # the number 1 is a single batch

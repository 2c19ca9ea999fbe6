"""Progress of a training: the only module that reads and corrects the counters of Lightning's loops."""

from typing import Any

from pytorch_lightning.loops import _Loop
from pytorch_lightning.trainer import call
from torch.utils.data import DataLoader

from scalian_exp.datasets.order import BatchesInOrder, ShuffledBatches


def batches_done(trainer: Any) -> int:
    """Return the number of batches of the current epoch that have been trained on."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready)


def epochs_done(trainer: Any) -> int:
    """Return the number of complete epochs.

    Lightning's own number is too low by one if a resumed training has already reached trainer.max_steps.
    """
    return int(trainer.fit_loop.epoch_progress.current.processed)


def last_batch(trainer: Any) -> bool:
    """Return whether the current batch is the epoch's last one."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return bool(progress.is_last_batch or progress.current.ready >= trainer.num_training_batches)


def inside_epoch(trainer: Any) -> bool:
    """Return whether an epoch has begun that hasn't ended, as in a checkpoint saved between two of its steps."""
    epochs = trainer.fit_loop.epoch_progress.current
    return bool(epochs.ready != epochs.processed)


def ends_step(trainer: Any) -> bool:
    """Return whether the step is done but not yet logged, as when on_train_batch_end is called."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.current
    return inside_epoch(trainer) and bool(batches.completed < batches.processed)


def ends_here(trainer: Any) -> bool:
    """Return whether the training ends after this step, whether its epoch is complete or not."""
    enough = -1 < trainer.max_steps <= trainer.global_step
    return bool(enough or (trainer.should_stop and trainer.fit_loop._can_stop_early))


def validate_where_it_ends(trainer: Any) -> None:
    """Let a validation follow this step if the training ends with it, wherever in an epoch that is."""
    if ends_here(trainer):
        trainer.should_stop = True  # trainer.max_steps alone ends Lightning's loop without a validation
        if trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1


def validation_due(trainer: Any) -> bool:
    """Return whether a validation follows this batch inside the epoch: by trainer.val_check_interval, or at the end."""
    loop, every = trainer.fit_loop.epoch_loop, trainer.val_check_batch
    if trainer.should_stop and trainer.fit_loop._can_stop_early:
        return bool(loop._should_check_val_epoch())
    if every in (None, float("inf")):
        return False
    number = loop.total_batch_idx if trainer.check_val_every_n_epoch is None else loop.batch_idx
    return bool((number + 1) % every == 0 and loop._should_check_val_epoch())


def accumulating(trainer: Any) -> bool:
    """Return whether gradients are waiting to be accumulated with those of further batches."""
    return bool(trainer.lightning_module.automatic_optimization and trainer.fit_loop.epoch_loop._should_accumulate())


def scale_of_accumulation(trainer: Any, batch_idx: int) -> float:
    """Return the factor by which a batch's gradient is too small in the mean over those of its step; 1 if it isn't.

    Lightning divides by trainer.accumulate_grad_batches, also where an epoch ends with fewer batches.
    """
    most = trainer.accumulate_grad_batches
    first = batch_idx - batch_idx % most
    return float(most / min(most, trainer.num_training_batches - first))


def begin_next_epoch(trainer: Any) -> None:
    """Resume from the end of an epoch as Lightning does without trainer.max_steps.

    With it, Lightning would treat the epoch as unfinished, and skip the next one.
    """
    loop = trainer.fit_loop
    _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]
    for each in (loop, loop.epoch_loop, loop.epoch_loop.val_loop):
        each.reset_restart_stage()
    for counter in (loop.epoch_progress.current, loop.epoch_progress.total):
        counter.ready = counter.started = counter.completed = counter.processed
    skip_batches(trainer, 0)


def continue_epoch(trainer: Any) -> None:
    """Resume inside an epoch: skip the batches that are done, and call the task's hook for an epoch's start again.

    Lightning's counters are right already, but for the step of a validation that only took place because the training
    ended there: it was saved before it was counted.
    """
    loop = trainer.fit_loop.epoch_loop
    batches = loop.batch_progress.current
    if batches.completed == batches.processed and not validation_due(trainer):
        loop._batches_that_stepped += 1
    skip_batches(trainer, batches_done(trainer))
    call._call_lightning_module_hook(trainer, "on_train_epoch_start")


def skip_batches(trainer: Any, count: int) -> None:
    """Start the current epoch after this many batches of its order."""
    loader = trainer.train_dataloader
    sampler = loader.sampler if isinstance(loader, DataLoader) else None
    fetcher = trainer.fit_loop._data_fetcher
    if isinstance(sampler, BatchesInOrder | ShuffledBatches):
        sampler.skip = count
        if isinstance(sampler, ShuffledBatches):
            sampler.set_epoch(trainer.fit_loop.epoch_progress.current.processed)
        iter(fetcher)  # restarted: its processes have begun already, perhaps with another epoch's order
    else:  # a custom data module
        for _ in range(count):
            next(fetcher.iterator)


def count_as_begun(trainer: Any) -> None:
    """Count an epoch that was cut short as incomplete."""
    progress = trainer.fit_loop.epoch_progress.current
    progress.processed -= 1
    progress.completed -= 1

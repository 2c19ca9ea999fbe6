"""What makes a checkpoint stand alone and a run resumable."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import nn

from scalian_exp.callbacks.states import states_to_restore
from scalian_exp.checkpoint import check_intact, implied_by
from scalian_exp.distributed import ranks
from scalian_exp.files import replacing
from scalian_exp.folders import LAST, START
from scalian_exp.refusal import Refusal


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are replaced whole, whenever the process dies. Lightning's own go through the temporary folder,
    which may be another file system, and moving between two is no atomic step.

    They bear checksums, and a damaged one is refused.

    Args:
        folders: where checkpoints are written and deleted; a formatted name that leads elsewhere is refused.
    """

    def __init__(self, *folders: Path):
        super().__init__()
        self.folders = [folder.resolve() for folder in folders]

    def holds(self, file: Path) -> bool:
        """Does a file lie below one of the folders, links followed?"""
        return any(file.parent.resolve().is_relative_to(folder) for folder in self.folders)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """
        Raises:
            Refusal: if the path leads out of the folders.
        """
        if not self.holds(Path(path)):
            raise Refusal(
                f"{path} is outside the run folder; choose a plain callbacks.….filename, and say where else "
                "checkpoints are to lie by callbacks.….dirpath=…"
            )
        wanted = torch.serialization.get_crc32_options()
        torch.serialization.set_crc32_options(True)
        try:
            with replacing(Path(path)) as part:
                torch.save(checkpoint, part)
        finally:
            torch.serialization.set_crc32_options(wanted)

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        check_intact(Path(path))
        return super().load_checkpoint(path, *arguments, **options)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a regular file in the folders, and nothing else: Lightning's own deletes whole trees."""
        file = Path(path)
        if self.holds(file) and file.is_file() and not file.is_symlink():
            file.unlink()


def folders_of_checkpoints(folder: Path, callbacks: Iterable[pl.Callback]) -> list[Path]:
    """The run folder, and where these callbacks are told to write."""
    folders = [folder]
    for callback in callbacks:
        if place := getattr(callback, "dirpath", None):
            folders.append(Path(place, getattr(callback, "filename", None) or "x").parent)
    return folders


def agree_on_statistics(task: Any) -> None:
    """Each process's batch norm has seen its own part of the data; one model is validated and saved."""
    if ranks.size() == 1:
        return
    for module in task.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for statistic in (module.running_mean, module.running_var):
                if statistic is not None:
                    statistic.copy_(ranks.mean(statistic))


class Provenance(pl.Callback):
    """The resolved config in every checkpoint, and a checkpoint before the first step, start.ckpt, which stays until
    there is a last one."""

    def __init__(self, config: dict[str, Any], folder: Path, callbacks: dict[str, pl.Callback]):
        self.config, self.folder, self.callbacks = config, folder, callbacks

    def on_save_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        keys = {name: callback.state_key for name, callback in self.callbacks.items()}
        checkpoint["scalian_exp"] = {"config": self.config, "callbacks": keys, "implied": implied_by(task.network)}

    def on_load_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["callbacks"] = states_to_restore(checkpoint, self.callbacks, self.config["callbacks"])

    def on_train_start(self, trainer: Any, task: Any) -> None:
        if trainer.ckpt_path is None:
            trainer.save_checkpoint(self.folder / START)

    def on_validation_start(self, trainer: Any, task: Any) -> None:
        agree_on_statistics(task)

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        agree_on_statistics(task)

    def on_train_end(self, trainer: Any, task: Any) -> None:
        if trainer.is_global_zero and (self.folder / LAST).exists():
            (self.folder / START).unlink(missing_ok=True)

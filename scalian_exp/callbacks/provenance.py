"""Store in each checkpoint what it needs to be loaded alone and resumed, and write it atomically."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from scalian_exp.callbacks.states import states_to_restore
from scalian_exp.checkpoint import check_intact, implied_by
from scalian_exp.distributed import ranks
from scalian_exp.files import replacing
from scalian_exp.folders import LAST, START
from scalian_exp.refusal import Refusal


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoint files that are written atomically, with checksums, and refused if damaged.

    Lightning writes its own through the temporary folder, which may be on another file system, so that moving them into
    place isn't atomic.

    Args:
        folders: where checkpoints may be written and deleted; a formatted name that leads elsewhere is refused.
    """

    def __init__(self, *folders: Path):
        super().__init__()
        self.folders = [folder.resolve() for folder in folders]

    def holds(self, file: Path) -> bool:
        """Return whether a file is in one of the folders, with symbolic links followed."""
        return any(file.parent.resolve().is_relative_to(folder) for folder in self.folders)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint atomically, with checksums.

        Raises:
            Refusal: if the path leads out of the folders.
        """
        if not self.holds(Path(path)):
            raise Refusal(
                f"{path} is outside the run folder; choose a plain callbacks.….filename, and give another "
                "folder for checkpoints by callbacks.….dirpath=…"
            )
        wanted = torch.serialization.get_crc32_options()
        torch.serialization.set_crc32_options(True)
        try:
            with replacing(Path(path)) as part:
                torch.save(checkpoint, part)
        finally:
            torch.serialization.set_crc32_options(wanted)

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint, after verifying its checksums."""
        check_intact(Path(path))
        return super().load_checkpoint(path, *arguments, **options)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a regular file in one of the folders, but nothing else: Lightning's own method deletes whole trees."""
        file = Path(path)
        if self.holds(file) and file.is_file() and not file.is_symlink():
            file.unlink()


def folders_of_checkpoints(folder: Path, callbacks: Iterable[pl.Callback]) -> list[Path]:
    """Return the run folder and all other folders into which the callbacks write checkpoints."""
    folders = [folder]
    for callback in callbacks:
        if place := getattr(callback, "dirpath", None):
            folders.append(Path(place, getattr(callback, "filename", None) or "x").parent)
    return folders


def batch_statistics(task: Any) -> dict[str, Tensor]:
    """Return the running statistics of batch norm by name, of which each process has its own between two averages."""
    return {
        f"{path}.{name}": statistic
        for path, module in task.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for name in ("running_mean", "running_var")
        if (statistic := getattr(module, name)) is not None
    }


def agree_on_statistics(task: Any) -> None:
    """Average the statistics of batch norm over all processes, so that one model is validated and saved."""
    if ranks.size() == 1:
        return
    for statistic in batch_statistics(task).values():
        statistic.copy_(ranks.mean(statistic))


class Provenance(pl.Callback):
    """Store the resolved config in every checkpoint, and save start.ckpt before the first step.

    start.ckpt is removed once there is a last.ckpt.
    """

    def __init__(self, config: dict[str, Any], folder: Path, callbacks: dict[str, pl.Callback]):
        self.config, self.folder, self.callbacks = config, folder, callbacks

    def on_save_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """Store the config, the callbacks' keys and the network's implied arguments."""
        keys = {name: callback.state_key for name, callback in self.callbacks.items()}
        checkpoint["scalian_exp"] = {"config": self.config, "callbacks": keys, "implied": implied_by(task.network)}

    def on_load_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """Adapt the callbacks' states to the arguments that a resumed run has changed."""
        checkpoint["callbacks"] = states_to_restore(checkpoint, self.callbacks, self.config["callbacks"])

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Save start.ckpt if the training starts from the beginning."""
        if trainer.ckpt_path is None:
            trainer.save_checkpoint(self.folder / START)

    def on_validation_start(self, trainer: Any, task: Any) -> None:
        """Average batch norm's statistics over the processes."""
        agree_on_statistics(task)

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        """Average batch norm's statistics over the processes."""
        agree_on_statistics(task)

    def on_train_end(self, trainer: Any, task: Any) -> None:
        """Remove start.ckpt if there is a last.ckpt."""
        if trainer.is_global_zero and (self.folder / LAST).exists():
            (self.folder / START).unlink(missing_ok=True)


def config_of(trainer: Any) -> dict[str, Any]:
    """Return the resolved config of the run that a trainer trains."""
    config: dict[str, Any] = next(each.config for each in trainer.callbacks if isinstance(each, Provenance))
    return config

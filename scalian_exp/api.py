"""The Python API: compose, train, load, load_data; `from scalian_exp import compose` imports them from here.

Torch and Hydra are imported by the functions that need them: the package is imported with every command.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from scalian_exp.checkpoint import Loaded


def compose(*overrides: str) -> dict[str, Any]:
    """Compose an experiment: the resolved config that `scalian-train <overrides>` trains, as plain data.

    Args:
        overrides: as on the command line, "model=vae" or "loss.beta=4".

    Raises:
        Refusal: if there is no such option, or the parts don't fit together; its sentence says what would.
    """
    from scalian_exp.commandline.experiment import checked, composed

    return checked(composed(*overrides))


def train(config: dict[str, Any], folder: str | Path) -> dict[str, Any]:
    """Train what a config describes, in as many processes as it says, and test it.

    Args:
        config: what `compose` returned; its values may have been changed.
        folder: the run folder, made if it is missing. Where it holds a run of this very config, a finished one is kept,
            and one that was interrupted goes on.

    Returns:
        What metrics.json in the folder holds: all test metrics, `best`, the monitored validation metric, time, size.

    Raises:
        Refusal: if something in the config or the data can't work, or the folder holds another run.
        SystemExit: after Ctrl-C, with a checkpoint saved.
    """
    from scalian_exp import folders
    from scalian_exp.refusal import Refusal
    from scalian_exp.run.processes import launch
    from scalian_exp.stored import metrics_of, read_config
    from scalian_exp.vocabulary.checks import check_plain

    check_plain(config)
    place = Path(folder)
    if folders.state(place) is not folders.State.NONE:
        if read_config(place) != {key: value for key, value in config.items() if key != "trust"}:
            raise Refusal(f"{place} holds a run of another config; choose another folder, or load this one.")
        if folders.state(place) is folders.State.FINISHED:
            return metrics_of(place)
    place.mkdir(parents=True, exist_ok=True)
    return launch(config, place)


def load(path: str | Path, device: "str | torch.device" = "cpu", trust: str | Sequence[str] = ()) -> "Loaded":
    """Rebuild a trained model from a run folder or a checkpoint, without its configs.

    Args:
        path: of a run folder, whose best checkpoint is taken, or of a .ckpt file.
        device: where the network is to compute, "cuda:0" for instance.
        trust: packages of others that the checkpoint may name, as ["halves"]: your own network's.

    Returns:
        `task` (the Lightning module, in evaluation mode), `network`, `config`, `folder` and more.

    Raises:
        Refusal: if there is no such checkpoint, it is damaged, or names code that isn't trusted.
    """
    from scalian_exp import checkpoint

    return checkpoint.load(path, device, trust)


def load_data(source: "dict[str, Any] | Loaded") -> Any:
    """Build the data module of a config or of a trained model: data downloaded if need be, read, and split.

    Returns:
        A module whose `train_dataloader()`, `val_dataloader()` and `test_dataloader()` give batches, and whose
        `splits` maps "train", "val" and "test" to the examples.

    Raises:
        Refusal: if the data can't be had.
    """
    from scalian_exp.build import build

    stored = {} if isinstance(source, dict) else source.data_state
    data = build("dataset", (source if isinstance(source, dict) else source.config)["dataset"])
    data.prepare_data()
    data.setup("fit")
    if stored:
        data.load_state_dict(stored)
    return data

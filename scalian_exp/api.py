"""The Python API: `from scalian_exp import compose, train, load, load_data`.

Each function imports torch and Hydra itself, because every command imports this package and most need neither.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from scalian_exp.checkpoint import Loaded

log = logging.getLogger(__name__)


def compose(*overrides: str) -> dict[str, Any]:
    """Compose the config of an experiment from overrides, checked and resolved to plain data.

    Args:
        overrides: as on the command line, such as "model=vae" or "loss.beta=4".

    Raises:
        Refusal: if an option doesn't exist or the parts don't fit together; the message names one that does.
    """
    from scalian_exp.commandline.experiment import checked, composed

    return checked(composed(*overrides))


def train(config: dict[str, Any], folder: str | Path) -> dict[str, Any]:
    """Train and test the experiment that a config describes, in as many processes as it asks for.

    Args:
        config: what `compose` returned; you may change its values first.
        folder: the run folder, created if it is missing. If it already holds a run of this very config, an interrupted
            one is resumed; a finished one is not trained again: its stored metrics are returned, and a warning says so.

    Returns:
        The contents of the folder's metrics.json: all test metrics, `best` (the monitored validation metric), time and
        network size.

    Raises:
        Refusal: if the config or the data can't work, or the folder holds a run of another config.
        SystemExit: after Ctrl-C, once a checkpoint has been saved.
    """
    from scalian_exp import folders
    from scalian_exp.refusal import Refusal
    from scalian_exp.run.processes import launch
    from scalian_exp.stored import metrics_of, read_config
    from scalian_exp.vocabulary.checks import check_plain
    from scalian_exp.vocabulary.decided import as_asked
    from scalian_exp.vocabulary.natural_schedule import KEY, as_composed
    from scalian_exp.vocabulary.packages import check_packages

    check_packages(config)
    check_plain(config)
    place = Path(folder)
    if folders.state(place) is not folders.State.NONE:
        stored = read_config(place)
        stored = as_asked(stored, config)
        given = {key: value for key, value in config.items() if key not in ("trust", KEY)}
        if given not in (as_composed(stored), {key: value for key, value in stored.items() if key != KEY}):
            raise Refusal(f"{place} holds a run of another config; choose another folder, or load this one.")
        if folders.state(place) is folders.State.FINISHED:
            log.warning(
                "%s holds a finished run of this config: nothing is trained, and its stored metrics are returned; to "
                "train again, choose another folder",
                place,
            )
            return metrics_of(place)
    place.mkdir(parents=True, exist_ok=True)
    return launch(config, place)


def load(path: str | Path, device: "str | torch.device" = "cpu", trust: str | Sequence[str] = ()) -> "Loaded":
    """Rebuild a trained model from a run folder or a checkpoint, without its configs.

    Args:
        path: a run folder, of which the best checkpoint is loaded, a .ckpt file, or the folder of an export.
        device: where the network computes, such as "cuda:0".
        trust: third-party packages that the checkpoint may name, such as ["halves"] for your own network.

    Returns:
        `task` (the Lightning module, in evaluation mode), `network`, `config`, `folder` and more.

    Raises:
        Refusal: if there is no such checkpoint, it is damaged, or it names code that isn't trusted.
    """
    from scalian_exp import checkpoint

    return checkpoint.load(path, device, trust)


def load_data(source: "dict[str, Any] | Loaded | str | Path") -> Any:
    """Build the data module of a config or of a trained model, with its data downloaded, read and split.

    Args:
        source: what `compose` or `load` returned, or a run folder or checkpoint.

    Returns:
        A module whose `train_dataloader()`, `val_dataloader()` and `test_dataloader()` yield batches, and whose
        `splits` maps "train", "val" and "test" to the examples.

    Raises:
        Refusal: if the data can't be downloaded or read, or a model's file names code that isn't trusted.
    """
    from scalian_exp.actions.action import data_of
    from scalian_exp.build import build

    if not isinstance(source, dict):
        return data_of(load(source) if isinstance(source, str | Path) else source)
    data = build("dataset", source["dataset"])
    data.prepare_data()
    data.setup("fit")
    return data

"""A trained model from nothing but its checkpoint."""

import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn

from scalian_exp.build import build_task
from scalian_exp.files import check_regular
from scalian_exp.folders import CHECKPOINTS, checkpoint_file
from scalian_exp.refusal import Refusal
from scalian_exp.stored import check_buildable, check_config
from scalian_exp.trust import check_origin, modules

UNREADABLE = (
    *(RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error),
)
"""what torch.load raises, depending on where a file breaks off"""
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, NotImplementedError, EOFError, ValueError)
"""what reading a zip file raises, depending on where it is damaged"""

OF_TRAINING = {
    **{"epoch": int, "global_step": int, "optimizer_states": list, "lr_schedulers": list, "callbacks": dict},
    "pytorch-lightning_version": str,
}
"""what Lightning goes on from"""


@runtime_checkable
class Implies(Protocol):
    """A part of a network that takes an argument which earlier versions lacked, and keeps it under its own name."""

    implied: Mapping[str, Any]
    """each such argument → what it was before it could be given"""


class Loaded(NamedTuple):
    task: Any
    """the Lightning module, in evaluation mode; `task.network` is the network"""
    config: dict[str, Any]
    """the resolved config that it was trained with"""
    file: Path
    folder: Path
    """its run folder"""
    data_state: dict[str, Any]
    """what the data module kept in the checkpoint"""
    trust: tuple[str, ...] = ()
    """packages of others that the file may name"""

    @property
    def network(self) -> Any:
        """The network itself, as `task.network`."""
        return self.task.network


def check_intact(file: Path) -> None:
    """Compare all that a checkpoint holds, weights and config, with its checksums: 0.3 s for 500 MB.

    torch files each tensor with a CRC-32, and doesn't look at it again.

    Raises:
        Refusal: if it has changed since it was written, or isn't a checkpoint.
    """
    check_regular(file, "use another one of the run")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except DAMAGED as error:
        raise Refusal(f"{file} is truncated or no PyTorch checkpoint; use another one of the run.") from error
    if damaged is not None:
        raise Refusal(
            f"{file} is damaged: {damaged} differs from its checksum, so its weights are not those that were trained; "
            "use another one of the run, or a copy."
        )


def read(file: Path) -> dict[str, Any]:
    """The contents of a checkpoint of ours; only tensors and plain data are unpickled.

    Raises:
        Refusal: if it is truncated or damaged, or something else.
    """
    check_intact(file)
    try:
        contents = torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise Refusal(f"{file} is truncated or no PyTorch checkpoint; use another one of the run.") from error
    match contents:
        case {"scalian_exp": {"config": dict(config)}, "state_dict": dict()}:
            contents["scalian_exp"]["config"] = check_config(config, str(file), "use another one of the run")
            return contents
    raise Refusal(f"{file} was not written by scalian_exp: its own config is not in it, so nothing can be rebuilt.")


def check_progress(contents: dict[str, Any], file: Path, trainer: dict[str, Any]) -> None:
    """Refuse to resume a checkpoint that doesn't tell where its training stopped, or has more epochs or steps than
    wanted."""
    match contents:
        case {"loops": {"fit_loop": {"epoch_progress": {"current": {"ready": int(started)}}}}} if all(
            isinstance(contents.get(name), kind) for name, kind in OF_TRAINING.items()
        ):
            pass
        case _:
            raise Refusal(
                f"{file} can't be resumed: it doesn't tell where its training stopped; start a new run from its "
                f"weights, init_from={file}."
            )
    most = trainer["max_epochs"]
    if most is not None and -1 < most < started:
        raise Refusal(
            f"This run has {started} epochs already, and trainer.max_epochs={most} counts them; give {started} or more."
        )
    steps, most = contents["global_step"], trainer.get("max_steps", -1)
    if -1 < most < steps:
        raise Refusal(
            f"This run has {steps} steps already, and trainer.max_steps={most} counts them; give {steps} or more, or "
            "-1 for no limit."
        )


def load(path: str | Path, device: str | torch.device = "cpu", trust: str | Sequence[str] = ()) -> Loaded:
    """Rebuild a model from a checkpoint or a run folder, without its configs.

    A stranger's file can use memory and time, and nothing else: tensors and plain data are all that is unpickled, and
    the networks, losses and optimizers that it may name are those of this package and of torch.

    Args:
        trust: packages of others that the checkpoint may name too, as ["halves"]: your own network's, for instance.

    Raises:
        Refusal: if there is no such checkpoint, it is truncated, damaged or foreign, or names code that isn't trusted.
    """
    file, trust = checkpoint_file(Path(path)), modules(trust)
    contents = read(file)
    config = contents["scalian_exp"]["config"]
    check_origin(config, file, trust, ("model", "loss"))
    check_buildable(config, file, "model", "loss")
    task = build_task(config)
    try:
        task.load_state_dict(contents["state_dict"])
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise Refusal(f"The weights in {file} don't fit its network any more ({first[0].strip()}).") from error
    compute_as_trained(task.network, contents)
    folder = file.parent.parent if file.parent.name == CHECKPOINTS else file.parent
    return Loaded(task.to(device).eval(), config, file, folder, data_state_in(contents), trust)


def implied_by(network: nn.Module) -> dict[str, Any]:
    """What each part of a network does about the arguments that earlier versions lacked: path.name → value."""
    parts = [(path, module) for path, module in network.named_modules() if isinstance(module, Implies)]
    return {f"{path}.{name}": getattr(module, name) for path, module in parts for name in module.implied}


def compute_as_trained(network: nn.Module, contents: dict[str, Any]) -> None:
    """Let a rebuilt network compute what it did when a checkpoint's weights were learned, where its config doesn't say:
    what the checkpoint kept of `implied_by`, or, if an earlier version wrote it, what was the only way then."""
    kept = contents["scalian_exp"].get("implied")
    stated = set(keys_of(contents["scalian_exp"]["config"]["model"]))
    for path, module in network.named_modules():
        for name, then in module.implied.items() if isinstance(module, Implies) else ():
            if name not in stated:
                value = kept.get(f"{path}.{name}") if isinstance(kept, dict) else None
                setattr(module, name, value if type(value) is type(then) else then)


def keys_of(node: Any) -> Iterator[str]:
    """All keys of a nested config."""
    for name, value in node.items() if isinstance(node, dict) else ():
        yield name
        yield from keys_of(value)


def data_state_in(contents: dict[str, Any]) -> dict[str, Any]:
    """What the data module kept in a checkpoint; Lightning files it under the name of its class."""
    target = contents["scalian_exp"]["config"]["dataset"]["_target_"]
    state = contents.get(target.rpartition(".")[2])
    return state if isinstance(state, dict) else {}

"""Load a trained model from nothing but its checkpoint."""

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn

from scalian_exp import safe_weights
from scalian_exp.build import build_task
from scalian_exp.files import UNREADABLE, check_regular
from scalian_exp.folders import CHECKPOINTS, checkpoint_file
from scalian_exp.refusal import Refusal
from scalian_exp.stored import check_buildable, check_config, run_name
from scalian_exp.trust import check_origin, modules

DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, NotImplementedError, EOFError, ValueError)
"""exceptions of reading a zip file, depending on where it is damaged"""

OF_TRAINING = {
    **{"epoch": int, "global_step": int, "optimizer_states": list, "lr_schedulers": list, "callbacks": dict},
    "pytorch-lightning_version": str,
}
"""entries that Lightning needs in order to resume"""


@runtime_checkable
class Implies(Protocol):
    """A part of a network with arguments that earlier versions lacked, each kept in an attribute of its name."""

    implied: Mapping[str, Any]
    """maps each such argument to the fixed value that earlier versions used"""


class Loaded(NamedTuple):
    """A trained model, rebuilt from its checkpoint."""

    task: Any
    """the Lightning module, in evaluation mode; `task.network` is the network"""
    config: dict[str, Any]
    """the resolved config that it was trained with"""
    file: Path
    folder: Path
    """its run folder"""
    data_state: dict[str, Any]
    """the data module's state in the checkpoint"""
    trust: tuple[str, ...] = ()
    """third-party packages that the file may name"""

    @property
    def network(self) -> Any:
        """The task's network."""
        return self.task.network

    @property
    def name(self) -> str:
        """The names of its model and data set, for titles."""
        return run_name(self.folder, self.config)


def check_intact(file: Path) -> None:
    """Verify the checksums of all weights and of the config in a checkpoint: 0.3 s for 500 MB.

    torch writes a CRC-32 with each tensor, but never checks it.

    Raises:
        Refusal: if the file has changed since it was written, or isn't a checkpoint.
    """
    check_regular(file, "use another checkpoint of the run")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which a damaged offset causes
            raise
        raise Refusal(f"{file} is truncated or not a PyTorch checkpoint; use another one of this run.") from error
    if damaged is not None:
        raise Refusal(
            f"{file} is damaged: {damaged} doesn't match its checksum, so the weights are not the ones that were "
            "trained; use another checkpoint of the run, or a copy."
        )


def read(file: Path) -> dict[str, Any]:
    """Read a checkpoint of this package, unpickling only tensors and plain data, or an exported model.safetensors.

    Raises:
        Refusal: if the file is truncated, damaged, or not a checkpoint of this package.
    """
    contents = safe_weights.read(file) if file.suffix == ".safetensors" else unpickled(file)
    match contents:
        case {"scalian_exp": {"config": dict(config)}, "state_dict": dict()}:
            contents["scalian_exp"]["config"] = check_config(config, str(file), "use another checkpoint of the run")
            return contents
    raise Refusal(f"{file} was not written by scalian_exp: it holds no config, so nothing can be rebuilt from it.")


def unpickled(file: Path) -> Any:
    """Read what torch.save wrote, if it is intact.

    Raises:
        Refusal: if it isn't.
    """
    check_intact(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise Refusal(f"{file} is truncated or not a PyTorch checkpoint; use another one of this run.") from error


def check_progress(contents: dict[str, Any], file: Path, trainer: dict[str, Any]) -> None:
    """Refuse to resume a checkpoint without training progress, or with more epochs or steps than the trainer's limits.

    Raises:
        Refusal: saying which limit to raise, or how to start a new run from the weights.
    """
    match contents:
        case {"loops": {"fit_loop": {"epoch_progress": {"current": {"ready": int(started)}}}}} if all(
            isinstance(contents.get(name), kind) for name, kind in OF_TRAINING.items()
        ) and all(isinstance(state, dict) for state in states_in(contents)):
            pass
        case _:
            raise Refusal(
                f"{file} can't be resumed: it doesn't say where its training stopped; start a new run from its "
                f"weights with init_from={file}."
            )
    most = trainer["max_epochs"]
    if most is not None and -1 < most < started:
        raise Refusal(
            f"This run has trained {started} epochs already, which count towards trainer.max_epochs={most}; "
            f"give {started} or more."
        )
    steps, most = contents["global_step"], trainer.get("max_steps", -1)
    if -1 < most < steps:
        raise Refusal(
            f"This run has trained {steps} steps already, which count towards trainer.max_steps={most}; "
            f"give {steps} or more, or -1 for no limit."
        )


def limits_reached(contents: dict[str, Any], trainer: dict[str, Any]) -> list[str]:
    """Return the limits that leave nothing to train to a finished run's checkpoint, checked by `check_progress`."""
    begun = contents["loops"]["fit_loop"]["epoch_progress"]["current"]["ready"]
    limits = {
        "max_epochs": (trainer["max_epochs"], begun),
        "max_steps": (trainer.get("max_steps"), contents["global_step"]),
    }
    return [f"trainer.{name}" for name, (most, done) in limits.items() if most is not None and -1 < most <= done]


def states_in(contents: dict[str, Any]) -> Iterator[Any]:
    """Yield the states of a checkpoint's optimizers and their parts, schedules and callbacks."""
    yield from contents["lr_schedulers"]
    yield from contents["callbacks"].values()
    for state in filter(None, contents["optimizer_states"]):  # empty where nothing is trained by gradient
        groups = state.get("param_groups") if isinstance(state, dict) else None
        yield from (state["state"], *groups) if isinstance(groups, list) and "state" in state else [None]


def load(path: str | Path, device: str | torch.device = "cpu", trust: str | Sequence[str] = ()) -> Loaded:
    """Rebuild a trained model from a run folder or a checkpoint, without its configs.

    An untrusted file can cost memory and time, but do no other harm: only tensors and plain data are unpickled, and it
    may name only the networks, losses and optimizers of this package and of torch.

    Args:
        path: a run folder, of which the best checkpoint is loaded, a .ckpt file, or the folder of an export.
        device: where the network computes.
        trust: third-party packages that the checkpoint may name too, such as ["halves"] for your own network.

    Raises:
        Refusal: if there is no such checkpoint, it is truncated, damaged or not one of this package, or it names code
            that isn't trusted.
    """
    file, trust = checkpoint_file(Path(path)), modules(trust)
    contents = read(file)
    config = contents["scalian_exp"]["config"]
    check_origin(config, file, trust, ("model", "loss"))
    check_buildable(config, file, "model", "loss")
    task = build_task(config)
    load_weights(task, contents, file)
    folder = file.parent.parent if file.parent.name == CHECKPOINTS else file.parent
    return Loaded(task.to(device).eval(), config, file, folder, data_state_in(contents), trust)


def load_weights(task: Any, contents: dict[str, Any], file: Path) -> None:
    """Load a checkpoint's weights into the task that its config describes, which then computes as it was trained.

    Raises:
        Refusal: if they don't fit.
    """
    try:
        task.load_state_dict(contents["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise Refusal(f"The weights in {file} no longer fit its network ({first[0].strip()}).") from error
    compute_as_trained(task.network, contents)


def implied_by(network: nn.Module) -> dict[str, Any]:
    """Map "<module path>.<argument>" to its value, for all arguments of a network that earlier versions lacked."""
    parts = [(path, module) for path, module in network.named_modules() if isinstance(module, Implies)]
    return {f"{path}.{name}": getattr(module, name) for path, module in parts for name in module.implied}


def compute_as_trained(network: nn.Module, contents: dict[str, Any]) -> None:
    """Restore arguments that a checkpoint's config doesn't mention, so that the network computes as it was trained.

    They take the values of `implied_by` in the checkpoint or, if an earlier version wrote it, the value fixed then.
    """
    stored = contents["scalian_exp"].get("implied")
    stated = set(keys_of(contents["scalian_exp"]["config"]["model"]))
    for path, module in network.named_modules():
        for name, then in module.implied.items() if isinstance(module, Implies) else ():
            if name not in stated:
                value = stored.get(f"{path}.{name}") if isinstance(stored, dict) else None
                setattr(module, name, value if type(value) is type(then) else then)


def keys_of(node: Any) -> Iterator[str]:
    """Yield all keys of a nested config."""
    for name, value in node.items() if isinstance(node, dict) else ():
        yield name
        yield from keys_of(value)


def data_state_in(contents: dict[str, Any]) -> dict[str, Any]:
    """Return the data module's state in a checkpoint, which Lightning stores under the name of its class."""
    target = contents["scalian_exp"]["config"]["dataset"]["_target_"]
    state = contents.get(target.rpartition(".")[2])
    return state if isinstance(state, dict) else {}

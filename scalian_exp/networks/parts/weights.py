"""Published weights from a file: the tensors in it that have the names of a module's, under any common prefix."""

import logging
import pickle
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalian_exp.files import UNREADABLE

log = logging.getLogger(__name__)

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""keys under which training programs store a network's tensors beside other things; averages of them come first"""
STATISTICS = ("running_mean", "running_var")
"""last parts of the names of batch norm's statistics"""
SHOWN = 3
"""number of names that a message lists"""


def read_weights(file: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file, or of a file that torch wrote, unpickling only tensors and plain data.

    Args:
        file: a state dict, or a checkpoint with one under `state_dict` or `model`, as this package, torchvision and
            timm write them. If it holds averaged weights too, `state_dict_ema` or `model_ema`, they are taken.

    Raises:
        ValueError: if there is no such file, or it holds no tensors.
    """
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{path}, which pretrained=… names, is not a file; give a .pth or .safetensors.")
    contents: Any = safetensors_in(path) if path.suffix == ".safetensors" else pickled_in(path)
    for name in WRAPPERS:
        if isinstance(contents, Mapping) and isinstance(contents.get(name), Mapping):
            log.info("%s: the tensors under %s are taken", path, name)
            contents = contents[name]
            break
    state = {str(name): value for name, value in contents.items() if isinstance(value, Tensor)}
    if not state:
        raise ValueError(f"{path} holds no tensors by name; pretrained=… needs a state dict or a checkpoint with one.")
    return state


def safetensors_in(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ValueError(f"To read {path}, install safetensors: pip install 'scalian-exp[timm]'.") from error
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is truncated or no .safetensors file ({error}).") from error


def pickled_in(path: Path) -> Mapping[str, Any]:
    """Read a mapping that torch.save wrote."""
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and plain data, or isn't a PyTorch file, so it isn't opened; save its "
            "state dict alone, or as .safetensors."
        ) from error
    except UNREADABLE as error:
        raise ValueError(f"{path} is truncated or not a PyTorch file.") from error
    if not isinstance(contents, Mapping):
        raise ValueError(f"{path} holds no tensors by name; pretrained=… needs a state dict or a checkpoint with one.")
    return contents


def plain(name: str) -> str:
    """Return a tensor's name as it is compared: timm joins the first parts of some encoders' names by underscores."""
    return name.replace(".", "_")


def prefix_in(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Return the prefix before most of our names in a file, such as `module_` or `network_backbone_`; "" for none."""
    counts: Counter[str] = Counter()
    for name in theirs:
        counts.update(name[:start] for start in starts(name) if name[start:] in ours)
    return min(counts, key=lambda prefix: (-counts[prefix], len(prefix)), default="")


def starts(name: str) -> list[int]:
    """Return where the parts of a plain name start."""
    return [0, *(place + 1 for place, letter in enumerate(name) if letter == "_")]


def load_matching(module: nn.Module, state: Mapping[str, Tensor], source: str) -> int:
    """Copy the tensors of an encoder from a state dict, and log on one line what matched and what didn't.

    The first convolution's weights are fitted to the images' channels, see `fitted`. All parameters of the module and
    its statistics of batch norm must be there; the state dict may hold more, such as a classifier's.

    Args:
        module: the encoder.
        state: tensors by name; the module's own names may follow a common prefix.
        source: where they come from, for messages.

    Returns:
        The number of tensors that matched.

    Raises:
        ValueError: if no weight matches, a tensor is missing, or one has another shape; the module is unchanged then.
    """
    target = module.state_dict()
    theirs = {plain(name): name for name in state}
    ours = plain_names(target)
    prefix = prefix_in(theirs, ours)
    found = {own: theirs[prefix + name] for name, own in ours.items() if prefix + name in theirs}
    weights = [name for name, parameter in module.named_parameters() if parameter.dim() > 1]
    kind = type(module).__name__
    if not any(name in found for name in weights):  # biases and counters alone are not enough
        raise ValueError(
            f"nothing in {source} has the name of anything in {kind} (there: {listed([*state])}; "
            f"here: {listed([*target])}); use weights of the same architecture, saved by the same library."
        )
    parameters = {name for name, _ in module.named_parameters()}
    needed = [name for name in target if name in parameters or name.endswith(STATISTICS)]
    if missing := [name for name in needed if name not in found]:
        raise ValueError(
            f"{source} lacks {len(missing)} of the {len(needed)} tensors of {kind}: {listed(missing)}; use all weights "
            "of the same architecture."
        )
    values = {name: state[other] for name, other in found.items()}
    first = next((name for name in weights if target[name].dim() == 4), weights[0])
    values[first] = fitted(values[first], target[first])
    if unlike := [name for name, value in values.items() if value.shape != target[name].shape]:
        pairs = [f"{name} is {size(state[found[name]])} there and {size(target[name])} here" for name in unlike]
        raise ValueError(f"the weights in {source} have other shapes: {listed(pairs, '; ')}; use equal architectures.")
    module.load_state_dict(values, strict=False)
    used = set(found.values())
    remarks = [
        f" after the prefix {original_prefix(found, prefix)}" if prefix else "",
        f"; {first} fitted from {size(state[found[first]])} to {size(target[first])}"
        if state[found[first]].shape != target[first].shape
        else "",
    ]
    log.info(
        "pretrained weights from %s: %d of %d tensors of %s matched%s%s; not in the file: %s; unused: %s",
        *(source, len(found), len(target), kind, *remarks),
        *(listed([name for name in target if name not in found]), listed([name for name in state if name not in used])),
    )
    return len(found)


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Map the names under which a module's tensors are compared to its own names."""
    ours = {plain(name): name for name in names}
    shared = "model_" if all(name.startswith("model_") for name in ours) else ""  # timm's wrapper of transformers
    return {name.removeprefix(shared): own for name, own in ours.items()}


def without_prefix(state: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Return a state dict without the prefix that most of these names have in it, such as `module.`."""
    prefix = prefix_in({plain(name): name for name in state}, plain_names(names))
    return {name[len(prefix) :]: value for name, value in state.items() if plain(name).startswith(prefix)}


def original_prefix(found: Mapping[str, str], prefix: str) -> str:
    """Return a common prefix as it stands in the file, from the names there that were found."""
    return next(iter(found.values()))[: len(prefix)]


def fitted(weight: Tensor, like: Tensor) -> Tensor:
    """Fit the weights of a first convolution, (O, C, kH, kW), to images with other channels, as timm does.

    For grey images they are summed over the colours, which computes the same as the grey image in all of them; for
    other numbers of channels they are repeated, and scaled by the ratio of both numbers. Other tensors are returned as
    they are.
    """
    same = weight.dim() == like.dim() == 4 and weight.shape[0] == like.shape[0] and weight.shape[2:] == like.shape[2:]
    before, after = (weight.shape[1], like.shape[1]) if same else (0, 0)
    if before == after:
        return weight
    if after == 1:
        return weight.sum(1, keepdim=True)
    return weight.repeat(1, -(-after // before), 1, 1)[:, :after] * (before / after)


def size(tensor: Tensor) -> str:
    """Return a tensor's shape, such as 64×3×7×7."""
    return "×".join(map(str, tensor.shape)) or "a number"


def listed(names: list[str], separator: str = ", ") -> str:
    """List the first names and the number of all, if there are more."""
    if len(names) <= SHOWN:
        return separator.join(names) or "none"
    return f"{separator.join(names[:SHOWN])}{separator}… ({len(names)})"

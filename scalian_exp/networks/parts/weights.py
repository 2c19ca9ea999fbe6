"""Published weights from a file: whatever in it has the names and shapes of a module's tensors, under any prefix."""

import logging
import pickle
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

WRAPPERS = ("state_dict", "model", "state_dict_ema")
"""keys under which training programs store a network's tensors beside other things"""
SHOWN = 3
"""number of names that a message lists"""


def read_weights(file: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file, or of a file that torch wrote, unpickling only tensors and plain data.

    Args:
        file: a state dict, or a checkpoint with one under `state_dict`, `model` or `state_dict_ema`, as this package,
            torchvision and timm write them.

    Raises:
        ValueError: if there is no such file, or it holds no tensors.
    """
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{path}, which pretrained=… names, is not a file; give a .pth or .safetensors.")
    contents: Any = safetensors_in(path) if path.suffix == ".safetensors" else pickled_in(path)
    for name in WRAPPERS:
        if isinstance(contents, Mapping) and isinstance(contents.get(name), Mapping):
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
    except (RuntimeError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
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
    """Copy all tensors of a state dict that a module has, and log what matched and what didn't.

    Args:
        module: the module.
        state: tensors by name; the module's own names may follow a common prefix.
        source: where they come from, for messages.

    Returns:
        The number of tensors that matched.

    Raises:
        ValueError: if no weight matches, or one has another shape.
    """
    target = module.state_dict()
    ours = {plain(name): name for name in target}
    shared = "model_" if all(name.startswith("model_") for name in ours) else ""  # timm's wrapper of transformers
    ours = {name.removeprefix(shared): own for name, own in ours.items()}
    theirs = {plain(name): name for name in state}
    prefix = prefix_in(theirs, ours)
    found = {own: theirs[prefix + name] for name, own in ours.items() if prefix + name in theirs}
    if not any(target[name].dim() > 1 for name in found):  # biases and counters alone are not enough
        raise ValueError(
            f"nothing in {source} has the name of anything in {type(module).__name__} (there: {listed([*state])}; "
            f"here: {listed([*target])}); use weights of the same architecture."
        )
    unlike = [name for name, other in found.items() if target[name].shape != state[other].shape]
    if unlike:
        pairs = [f"{name} is {size(state[found[name]])} there and {size(target[name])} here" for name in unlike]
        raise ValueError(f"the weights in {source} have other shapes: {listed(pairs, '; ')}; use equal architectures.")
    module.load_state_dict({name: state[other] for name, other in found.items()}, strict=False)
    used = set(found.values())
    log.info(
        "pretrained weights from %s: %d of %d tensors of %s matched; not in the file: %s; unused: %s",
        *(source, len(found), len(target), type(module).__name__),
        *(listed([name for name in target if name not in found]), listed([name for name in state if name not in used])),
    )
    return len(found)


def size(tensor: Tensor) -> str:
    """Return a tensor's shape, such as 64×3×7×7."""
    return "×".join(map(str, tensor.shape)) or "a number"


def listed(names: list[str], separator: str = ", ") -> str:
    """List the first names and the number of all, if there are more."""
    if len(names) <= SHOWN:
        return separator.join(names) or "none"
    return f"{separator.join(names[:SHOWN])}{separator}… ({len(names)})"

"""A trained model as model.safetensors and config.json, which action=export writes and `load` reads again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from scalian_exp.files import check_regular, read_json, write_text
from scalian_exp.folders import DESCRIPTION, WEIGHTS
from scalian_exp.refusal import Refusal

FORMAT = {"format": "pt"}
"""the entry of a file's metadata that other programs look for; all further entries name shared tensors"""


def write(
    folder: Path, contents: Mapping[str, Any], data_state: Mapping[str, Any], facts: Mapping[str, Any]
) -> list[Path]:
    """Write a checkpoint's weights and everything that rebuilds the model from them.

    A tensor that has several names is stored under the first; the metadata maps the other names to it, as
    `safetensors.torch.save_model` does.

    Args:
        folder: where to write.
        contents: what `checkpoint.read` returned.
        data_state: the data module's state.
        facts: what users of other programs must know.

    Returns:
        The files.

    Raises:
        Refusal: if safetensors isn't installed.
    """
    from_library = library(folder / WEIGHTS)
    tensors: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    first: dict[Any, str] = {}
    for name, value in contents["state_dict"].items():
        place = (value.untyped_storage().data_ptr(), value.storage_offset(), value.shape, value.stride(), value.dtype)
        if value.numel() and place in first:
            shared[name] = first[place]
        else:
            first[place] = name
            tensors[name] = value.detach().cpu().clone().contiguous()  # overlapping views become tensors of their own
    (folder / WEIGHTS).write_bytes(from_library.torch.save(tensors, metadata={**FORMAT, **shared}))
    own = contents["scalian_exp"]
    described = {**facts, "config": own["config"], "implied": own.get("implied"), "data_state": data_state}
    write_text(folder / DESCRIPTION, json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    return [folder / WEIGHTS, folder / DESCRIPTION]


def read(file: Path) -> dict[str, Any]:
    """Read the weights and the config beside them, as the contents of a checkpoint.

    Raises:
        Refusal: if safetensors isn't installed, or a file is missing or damaged.
    """
    advice = "export the model again"
    check_regular(file, advice)
    from_library = library(file)
    described = read_json(file.with_name(DESCRIPTION), advice=advice)
    if not isinstance(config := described.get("config"), dict):
        raise Refusal(f"{file.with_name(DESCRIPTION)} holds no config, so nothing can be rebuilt from it; {advice}.")
    try:
        with from_library.safe_open(file, "pt") as opened:
            state: dict[str, Any] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            others = opened.metadata() or {}
    except from_library.SafetensorError as error:
        raise Refusal(f"{file} is truncated or not a .safetensors file ({error}); {advice}.") from error
    state |= {name: state[kept] for name, kept in others.items() if kept in state}
    contents = {"state_dict": state, "scalian_exp": {"config": config, "implied": described.get("implied")}}
    target = config.get("dataset", {}).get("_target_", "") if isinstance(config.get("dataset"), dict) else ""
    return {**contents, str(target).rpartition(".")[2]: described.get("data_state")}


def library(file: Path) -> Any:
    """Import safetensors.

    Raises:
        Refusal: with the command that installs it.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise Refusal(f"{file.name} needs safetensors: pip install 'scalian-exp[export]'.") from error
    return safetensors

"""Config nodes → objects."""

import inspect
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from scalian_exp.checks import RESERVED
from scalian_exp.facts import FACTS
from scalian_exp.refusal import Refusal

HYDRAS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
MISTAKES = (Refusal, ValueError, OSError, MisconfigurationException, ImportError)
"""what constructors raise when a config is at fault"""

IMPLIED: dict[str, dict[str, Any]] = {
    f"scalian_exp.networks.{name}": {"torchvision_resize": True}
    for name in (
        "deeplab.LargeFOV",
        "deeplab.DeepLabV2",
        "deeplab.DeepLabV3",
        "deeplab.DeepLabV3Plus",
        "fastfcn.FastFCN",
    )
}
"""networks' arguments that configs of earlier versions don't state → what they meant"""


def build(path: str, node: dict[str, Any], **offers: Any) -> Any:
    """Instantiate a node, with those offers that its target takes and the node doesn't give.

    Words and facts that are there for others to read are left out unless the target asks for them.

    Raises:
        Refusal: if the target can't be found, or refuses its arguments.
    """
    try:
        takes = inspect.signature(get_object(node["_target_"])).parameters
        for_others = (RESERVED | FACTS) - HYDRAS - takes.keys()
        arguments = {name: value for name, value in node.items() if name not in for_others}
        accepted = {name: value for name, value in offers.items() if name in takes and name not in node}
        return instantiate(arguments, _convert_="all", **accepted)
    except InstantiationException as error:
        if error.__cause__ is None or isinstance(error.__cause__, MISTAKES):
            raise Refusal(f"{path}: {one_line(error.__cause__ or error)}") from error
        raise error.__cause__ from None  # a bug: its own trace says more than Hydra's sentence
    except (ImportError, AttributeError, ValueError) as error:
        raise Refusal(f"{path}: {one_line(error)} Correct {path}._target_.") from error


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def build_task(config: dict[str, Any]) -> Any:
    """The task of a resolved config: its network, loss and optimizer.

    Raises:
        Refusal: if a part refuses its arguments.
    """
    task = build("model", completed(config["model"]), loss=build("loss", config["loss"]))
    for fact in ("class_names", "palette", "object_class"):
        setattr(task, fact, config["dataset"].get(fact))
    if task.optimizer is None:
        return task
    try:
        task.optimizer([nn.Parameter(torch.zeros(1))])  # so that a bad learning rate is told before training
    except (ValueError, TypeError) as error:
        raise Refusal(f"model.optimizer: {one_line(error)}.") from error
    return task


def completed(model: dict[str, Any]) -> dict[str, Any]:
    """A model's node with what its network's arguments were before they could be stated, so that old weights mean the
    same."""
    network = model.get("network")
    if not isinstance(network, dict):
        return model
    return {**model, "network": IMPLIED.get(network.get("_target_", ""), {}) | network}
